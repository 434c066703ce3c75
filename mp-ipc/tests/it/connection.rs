//! Connections, with the edge cases that CPython's tests have.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use mp_ipc::{Connection, Error, pipe, simplex};
use serde::{Serialize, Serializer};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(30);

#[test]
fn an_empty_message_is_a_message() {
    let (here, there) = pipe::<(), ()>().unwrap();
    assert!(!there.poll(Duration::ZERO).unwrap());
    here.send_bytes(b"").unwrap();
    assert!(there.poll(Duration::ZERO).unwrap());
    assert!(there.poll(Duration::ZERO).unwrap(), "looking takes nothing away");
    assert_eq!(there.recv_bytes().unwrap(), b"");
    assert!(!there.poll(Duration::ZERO).unwrap());
    here.send(&()).unwrap();
    there.recv().unwrap();
}

#[test]
fn messages_do_not_merge() {
    let (here, there) = pipe::<(), ()>().unwrap();
    for part in [&b"a"[..], b"b", b"", b"c"] {
        here.send_bytes(part).unwrap();
    }
    for part in [&b"a"[..], b"b", b"", b"c"] {
        assert!(there.poll(Duration::ZERO).unwrap());
        assert_eq!(there.recv_bytes().unwrap(), part);
    }
}

#[test]
fn sixteen_mebibytes_arrive() {
    let (here, there) = pipe::<(), ()>().unwrap();
    let big: Vec<u8> = (0..16 << 20).map(|at: u32| (at >> 4) as u8).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| here.send_bytes(&big).unwrap());
        assert!(there.recv_bytes().unwrap() == big);
    });
}

/// The lengths that a signed or an unsigned word of 32 bits no longer holds. It takes 13 GiB.
#[test]
#[ignore = "long: it takes 13 GiB of memory"]
fn more_than_four_gibibytes_arrive() {
    for len in [(2 << 30) + 1, (4_usize << 30) + 1] {
        let (here, there) = pipe::<(), ()>().unwrap();
        let mut big = vec![0; len];
        big.iter_mut().step_by(4096).zip(0_u64..).for_each(|(byte, at)| *byte = (at % 251) as u8);
        let mut buffer = vec![0; len];
        std::thread::scope(|scope| {
            scope.spawn(|| (0..2).for_each(|_| here.send_bytes(&big).unwrap()));
            assert!(there.recv_bytes().unwrap() == big);
            assert_eq!(there.recv_into(&mut buffer).unwrap(), len);
        });
        assert!(buffer == big);
    }
}

#[test]
fn what_was_sent_before_the_end_is_received_and_then_the_end() {
    let (here, there) = pipe::<u32, u32>().unwrap();
    for number in 0..5 {
        here.send(&number).unwrap();
    }
    there.send(&99).unwrap();
    drop(here);
    assert!(there.poll(Duration::ZERO).unwrap());
    for number in 0..5 {
        assert_eq!(there.recv().unwrap(), number, "unread bytes of ours do not cost theirs");
    }
    for _ in 0..3 {
        assert!(there.poll(Duration::ZERO).unwrap(), "the end is readable");
        assert!(matches!(there.recv(), Err(Error::Closed)));
        assert!(matches!(there.try_recv(), Err(Error::Closed)));
        assert!(matches!(there.send(&1), Err(Error::Closed)), "an error, not SIGPIPE");
    }
}

#[test]
fn timeouts_are_kept() {
    let (here, there) = pipe::<u32, u32>().unwrap();
    assert!(matches!(there.try_recv(), Err(Error::Empty)));
    let start = Instant::now();
    assert!(matches!(there.recv_timeout(SHORT), Err(Error::TimedOut)));
    assert!(!there.poll(SHORT).unwrap());
    assert!(start.elapsed() >= 2 * SHORT);
    here.send(&1).unwrap();
    assert_eq!(there.recv_timeout(LONG).unwrap(), 1);
    assert!(start.elapsed() < LONG);
}

#[test]
fn a_full_connection_says_so_in_time() {
    let (here, there) = pipe::<[u8; 32], ()>().unwrap();
    while here.try_send(&[1; 32]).is_ok() {}
    assert!(matches!(here.try_send(&[1; 32]), Err(Error::Full)));
    let start = Instant::now();
    assert!(matches!(here.send_timeout(&[1; 32], SHORT), Err(Error::TimedOut)));
    assert!(start.elapsed() >= SHORT);
    drop(there);
    assert!(matches!(here.send_timeout(&[1; 32], LONG), Err(Error::Closed)));
}

#[test]
fn both_directions_at_once() {
    let (here, there) = pipe::<Vec<u8>, Vec<u8>>().unwrap();
    let megabyte = vec![3u8; 1 << 20];
    std::thread::scope(|scope| {
        for end in [&here, &there] {
            scope.spawn(|| (0..8).for_each(|_| end.send(&megabyte).unwrap()));
            scope.spawn(|| (0..8).for_each(|_| assert!(end.recv().unwrap() == megabyte)));
        }
    });
}

#[test]
fn a_value_that_cannot_be_encoded_sends_nothing() {
    struct Never;
    impl Serialize for Never {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let (here, _there): (Connection<Never, ()>, Connection<(), Never>) = pipe().unwrap();
    let error = here.send(&Never).unwrap_err();
    assert_eq!(error.to_string(), "the value cannot be encoded: never");
    assert!(!_there.poll(Duration::ZERO).unwrap());
}

#[test]
fn a_message_of_another_type_is_an_error_and_the_next_is_whole() {
    let (here, there) = simplex::<String>().unwrap();
    here.send_bytes(&[200, 1]).unwrap();
    here.send(&"next".to_string()).unwrap();
    assert!(matches!(there.recv(), Err(Error::Decode(_))));
    assert_eq!(there.recv().unwrap(), "next");
}

#[test]
fn the_receiver_is_an_iterator_until_the_end() {
    let (sender, receiver) = simplex::<u32>().unwrap();
    (0..10).for_each(|number| sender.send(&number).unwrap());
    drop(sender);
    let numbers: Result<Vec<u32>, Error> = (&receiver).collect();
    assert_eq!(numbers.unwrap(), (0..10).collect::<Vec<_>>());
}

#[test]
fn halves_live_apart() {
    let (here, there) = pipe::<u32, u32>().unwrap();
    let (sender, receiver) = here.split();
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(receiver.recv().unwrap()).unwrap());
    sender.send(&1).unwrap();
    assert_eq!(there.recv().unwrap(), 1);
    there.send(&2).unwrap();
    assert_eq!(wait.recv_timeout(LONG).unwrap(), 2);
}

#[test]
fn a_non_blocking_socket_blocks_all_the_same() {
    let (here, there) = pipe::<u32, u32>().unwrap();
    rustix::io::ioctl_fionbio(&there, true).unwrap();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| there.recv().unwrap());
        std::thread::yield_now();
        here.send(&4).unwrap();
        assert_eq!(receiver.join().unwrap(), 4);
    });
}

/// Whatever of a message has come when the time is up counts for the next call, of either kind.
#[test]
fn a_message_comes_into_the_buffer_over_several_calls() {
    let (here, there) = pipe::<Vec<u8>, ()>().unwrap();
    let long: Vec<u8> = (0..3_000_000_u32).map(|at| (at >> 3) as u8).collect();
    let mut buffer = vec![0; long.len() + 10];
    for last_is_into in [true, false] {
        assert!(matches!(here.try_send_bytes(&long), Err(Error::Unfinished)));
        assert!(matches!(there.try_recv_into(&mut buffer), Err(Error::Empty)));
        assert!(matches!(there.recv_into_timeout(&mut buffer, SHORT), Err(Error::TimedOut)));
        assert!(matches!(there.try_recv_bytes(), Err(Error::Empty)));
        buffer.fill(0);
        std::thread::scope(|scope| {
            scope.spawn(|| here.send_bytes_timeout(b"next", LONG).unwrap());
            if last_is_into {
                assert_eq!(there.recv_into_timeout(&mut buffer, LONG).unwrap(), long.len());
                assert!(buffer[..long.len()] == long);
            } else {
                assert!(there.recv_bytes_timeout(LONG).unwrap() == long);
            }
            assert_eq!(there.recv_into(&mut buffer).unwrap(), 4);
        });
        assert_eq!(&buffer[..4], b"next");
    }
    here.send_bytes(b"").unwrap();
    assert_eq!(there.try_recv_into(&mut []).unwrap(), 0);
    here.send_bytes(&long[..300]).unwrap();
    let small = there.try_recv_into(&mut buffer[..299]);
    assert!(
        matches!(small, Err(Error::BufferTooSmall { message, room: 299 }) if message == long[..300])
    );
    assert!(matches!(there.try_recv_into(&mut buffer), Err(Error::Empty)));
}
