use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use mp_sys::fd_table::{self, Error};
use mp_sys::memfd::{self, Identity, identity};
use proptest::prelude::*;

/// What a message may consist of: descriptors, and messages within the message.
#[derive(Clone, Debug)]
enum Part {
    Push(usize),
    PushOnce(usize),
    Inner(Vec<Part>),
    Panic(Vec<Part>),
}

fn part() -> impl Strategy<Value = Part> {
    let leaf =
        prop_oneof![(0_usize..4).prop_map(Part::Push), (0_usize..4).prop_map(Part::PushOnce)];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let parts = prop::collection::vec(inner, 0..6);
        prop_oneof![parts.clone().prop_map(Part::Inner), parts.prop_map(Part::Panic)]
    })
}

/// Writes a message and checks that its table is that of a plain model: only its own parts.
fn write(parts: &[Part], files: &[OwnedFd], fail: bool) -> Vec<Identity> {
    let identity = |fd: &OwnedFd| identity(fd.as_fd()).unwrap();
    let mut model: Vec<(Identity, bool)> = Vec::new();
    let mut run = || {
        for part in parts {
            match part {
                Part::Push(file) => {
                    assert_eq!(fd_table::push(files[*file].as_fd()), Ok(model.len() as u32));
                    model.push((identity(&files[*file]), false));
                }
                Part::PushOnce(file) => {
                    let id = identity(&files[*file]);
                    let known = model.iter().position(|known| *known == (id, true));
                    let at = fd_table::push_once(files[*file].as_fd()).unwrap() as usize;
                    assert_eq!(at, known.unwrap_or(model.len()));
                    if known.is_none() {
                        model.push((id, true));
                    }
                }
                Part::Inner(parts) => drop(write(parts, files, false)),
                Part::Panic(parts) => {
                    let unwound = std::panic::AssertUnwindSafe(|| write(parts, files, true));
                    std::panic::catch_unwind(unwound).unwrap_err();
                }
            }
        }
        if fail {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    };
    let ((), fds) = fd_table::collect(&mut run);
    let found: Vec<Identity> = fds.iter().map(identity).collect();
    assert_eq!(found, model.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    fd_table::supply(fds, || {
        for (at, id) in found.iter().enumerate() {
            let look = |fd: std::os::fd::BorrowedFd<'_>| memfd::identity(fd).unwrap();
            assert_eq!(fd_table::with(at as u32, look), Ok(*id));
            drop(fd_table::take(at as u32).unwrap());
            assert_eq!(fd_table::take(at as u32).unwrap_err(), Error::Missing(at as u32));
        }
        assert_eq!(fd_table::with(9999, |_| ()), Err(Error::Missing(9999)));
    });
    found
}

#[test]
fn outside_of_a_message_there_is_no_table() {
    let file = File::open("/dev/null").unwrap();
    assert_eq!(fd_table::push(file.as_fd()), Err(Error::NoMessage));
    assert_eq!(fd_table::push_once(file.as_fd()), Err(Error::NoMessage));
    assert_eq!(fd_table::take(0).unwrap_err(), Error::NoMessage);
    assert_eq!(fd_table::with(0, |_| ()), Err(Error::NoMessage));
    assert!(!fd_table::is_collecting());
    assert!(fd_table::collect(fd_table::is_collecting).0);
}

proptest! {
    #[test]
    fn messages_within_messages_keep_their_tables_apart(parts in prop::collection::vec(part(), 0..8)) {
        let files: Vec<OwnedFd> = (0..4).map(|_| memfd::create(c"t", 1).unwrap()).collect();
        write(&parts, &files, false);
        prop_assert_eq!(fd_table::take(0).unwrap_err(), Error::NoMessage);
    }
}
