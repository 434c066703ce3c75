use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use mp_shm::{Error, Kind, Placed, Region, type_hash};
use mp_sys::{fd_table, memfd};
use proptest::prelude::*;

use crate::travel::travel;

const KIND: Kind = Kind::new(*b"test");

#[test]
fn a_region_that_travels_is_the_same_mapping() {
    let region = Region::create(KIND, 100, 7).unwrap();
    let arrived = travel(&region).expect(KIND, 7).unwrap();
    assert!(region.same(&arrived));
}

#[test]
fn many_objects_in_one_message_take_one_descriptor() {
    let objects: Vec<Placed<AtomicU64>> = (0..1000).map(|_| Placed::zeroed().unwrap()).collect();
    let (_, fds) = fd_table::collect(|| postcard::to_stdvec(&objects).unwrap());
    assert!(fds.len() <= 2, "1000 objects of 8 bytes lie in at most two arenas");
    let arrived = travel(&objects);
    arrived[999].store(42, Ordering::Relaxed);
    assert_eq!(objects[999].load(Ordering::Relaxed), 42);
}

#[test]
fn a_handle_outside_of_a_message_is_an_error_that_says_so() {
    let error = postcard::to_stdvec(&Region::create(KIND, 1, 0).unwrap()).unwrap_err();
    assert_eq!(error, postcard::Error::SerdeSerCustom);
    assert!(fd_table::Error::NoMessage.to_string().contains("send it through a queue"));
}

#[test]
fn another_type_is_refused() {
    let placed = Placed::<AtomicU32>::zeroed().unwrap();
    let (bytes, fds) = fd_table::collect(|| postcard::to_stdvec(&placed).unwrap());
    fd_table::supply(fds, || postcard::from_bytes::<Placed<AtomicU64>>(&bytes)).unwrap_err();
}

#[test]
fn what_no_region_made_is_refused() {
    let attach = |fd: std::os::fd::BorrowedFd<'_>| Region::attach(fd, KIND, 0).unwrap_err();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    assert_eq!(attach(file.as_fd()), Error::NotSealed);
    let open = memfd::create_open(c"open", 4096).unwrap();
    assert_eq!(attach(open.as_fd()), Error::NotSealed);
    let tiny = memfd::create(c"tiny", 10).unwrap();
    assert_eq!(attach(tiny.as_fd()), Error::Size { expected: 64, found: 10 });
    let blank = memfd::create(c"blank", 4096).unwrap();
    assert!(matches!(attach(blank.as_fd()), Error::Magic { found: 0, .. }));
    let other = Region::create(Kind::QUEUE, 10, type_hash::<u8>()).unwrap();
    assert_eq!(attach(other.as_fd()), Error::Kind { expected: KIND, found: Kind::QUEUE });
    let expected = Error::Element { name: "the element type", expected: 1, found: 2 };
    let other = Region::create(KIND, 10, 2).unwrap();
    assert_eq!(other.expect(KIND, 1).unwrap_err(), expected);
}

proptest! {
    #[test]
    fn a_window_is_a_vec(
        len in 1_usize..2000,
        writes in prop::collection::vec((0_usize..2100, prop::collection::vec(any::<u8>(), 0..700)), 0..20),
        (at, count) in (0_usize..2100, 0_usize..2100),
    ) {
        let window = Region::create(KIND, len + 3, 0).unwrap().window(3, len).unwrap();
        let mut model = vec![0; len];
        for (at, bytes) in writes {
            let fits = at + bytes.len() <= len;
            prop_assert_eq!(window.write(at, &bytes).is_ok(), fits);
            if fits {
                model[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
        let mut seen = vec![0; count];
        let fits = at + count <= len;
        prop_assert_eq!(window.read(at, &mut seen).is_ok(), fits);
        if fits {
            prop_assert_eq!(&seen, &model[at..at + count]);
        }
    }
}
