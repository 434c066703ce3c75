//! Queues that arrive with descriptors which are not theirs: every call still ends.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mp_ipc::{Error, Fd, Message, Queue, SimpleQueue, decode, encode};
use mp_sys::socket;
use proptest::prelude::*;

use crate::broken_ring::ends;

const SOON: Duration = Duration::from_millis(1);

type Item = (Option<Fd>, Vec<u8>);

fn item(len: usize) -> Item {
    (Some(File::open("/dev/null").unwrap().into()), vec![7; len])
}

fn descriptor(kind: u8) -> OwnedFd {
    match kind {
        0 => File::open("/dev/null").unwrap().into(),
        1 => socket::packet_pair().unwrap().0,
        2 => UnixStream::pair().unwrap().0.into(),
        3 => {
            // Packets of other lengths than ours, and then the end.
            let (here, there) = socket::packet_pair().unwrap();
            for bytes in [&b""[..], b"1", b"a longer packet"] {
                rustix::io::write(&here, bytes).unwrap();
            }
            there
        }
        4 => {
            let (mut here, there) = UnixStream::pair().unwrap();
            here.write_all(&[1; 100]).unwrap();
            there.into()
        }
        5 => std::io::pipe().unwrap().0.into(),
        6 => encode(&Queue::<Item>::new(1).unwrap()).unwrap().fds.remove(0),
        7 => rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::DGRAM,
            None,
        )
        .unwrap(),
        _ => File::open("/").unwrap().into(),
    }
}

/// What a call may say.
fn check<T>(result: Result<T, Error>) {
    match result {
        Ok(_)
        | Err(
            Error::Protocol(_)
            | Error::Os { .. }
            | Error::TimedOut
            | Error::Decode(_)
            | Error::Handle(_)
            | Error::Memory(_),
        ) => {}
        Err(other) => panic!("{other:?}"),
    }
}

fn run(kinds: &[u8], place: usize) {
    let queue = Queue::<Item>::with_capacity(20, 4096).unwrap();
    queue.put(item(3)).unwrap();
    queue.put(item(5_000)).unwrap();
    let Message { bytes, mut fds } = encode(&queue).unwrap();
    for (at, kind) in kinds.iter().enumerate() {
        let at = (place + at) % fds.len();
        fds[at] = descriptor(*kind);
    }
    let Ok(other) = decode::<Queue<Item>>(Message { bytes, fds }) else { return };
    for _ in 0..3 {
        check(other.get_timeout(SOON));
        check(other.put_timeout(item(10), SOON).map_err(Error::from));
    }
}

proptest! {
    #[test]
    fn no_call_panics_or_hangs(kinds in prop::collection::vec(0..9_u8, 1..4), place in 0..3_usize) {
        let all = kinds.clone();
        prop_assert!(ends(move || run(&all, place)));
    }

    #[test]
    fn wrong_counts_are_errors(keep in 0..3_usize, more in 0..4_usize) {
        let Message { bytes, mut fds } = encode(&SimpleQueue::<u8>::new().unwrap()).unwrap();
        prop_assert_eq!(fds.len(), 3);
        fds.truncate(keep);
        let short = decode::<SimpleQueue<u8>>(Message { bytes: bytes.clone(), fds });
        prop_assert!(matches!(short, Err(Error::Handle(_))));
        let mut message = encode(&SimpleQueue::<u8>::new().unwrap()).unwrap();
        message.fds.extend((0..more).map(|_| descriptor(0)));
        prop_assert!(decode::<SimpleQueue<u8>>(message).is_ok(), "what is not asked for is closed");
    }
}

/// A socket at its end says so again and again.
#[test]
fn a_queue_beside_a_closed_socket_is_an_error() {
    assert!(ends(|| {
        let queue = Queue::<Item>::new(0).unwrap();
        queue.put(item(1)).unwrap();
        let Message { bytes, mut fds } = encode(&queue).unwrap();
        fds[1] = descriptor(1);
        let other = decode::<Queue<Item>>(Message { bytes, fds }).unwrap();
        assert!(matches!(other.get_timeout(SOON), Err(Error::Protocol(_))));
    }));
}
