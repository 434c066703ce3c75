//! Frames cut, delayed, announced too long, and made of nothing but chance.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mp_ipc::{Deadline, Error, Message, Wire};
use proptest::prelude::*;

const NOW: Duration = Duration::ZERO;

fn half_raw() -> (UnixStream, Wire) {
    let (raw, end) = UnixStream::pair().unwrap();
    (raw, Wire::from(OwnedFd::from(end)))
}

/// The bytes of one frame.
fn frame(payload: &[u8]) -> Vec<u8> {
    let (mut raw, wire) = half_raw();
    let mut bytes = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wire.send(&Message::from_bytes(payload.to_vec()), None).unwrap();
            drop(wire);
        });
        raw.read_to_end(&mut bytes).unwrap();
    });
    bytes
}

fn soon() -> Option<Deadline> {
    Some(Deadline::after(NOW))
}

#[test]
fn the_layout_is_as_drawn() {
    let mut expected = vec![0; 256];
    expected[..8].copy_from_slice(&3u64.to_le_bytes());
    expected[16..19].copy_from_slice(b"abc");
    assert_eq!(frame(b"abc"), expected);
    assert_eq!(frame(&[7; 240]).len(), 256);
    assert_eq!(frame(&[7; 241]).len(), 257);
    assert_eq!(frame(b"").len(), 256);
}

#[test]
fn a_frame_cut_anywhere_is_truncated_and_a_whole_one_is_not() {
    for len in [0, 1, 239, 240, 241, 300] {
        let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let bytes = frame(&payload);
        for cut in 0..=bytes.len() {
            let (mut raw, wire) = half_raw();
            raw.write_all(&bytes[..cut]).unwrap();
            if cut < bytes.len() {
                assert!(matches!(wire.recv(soon()), Err(Error::TimedOut)), "{cut} of {len}");
            }
            raw.shutdown(Shutdown::Write).unwrap();
            match wire.recv(None) {
                Err(Error::Closed) => assert_eq!(cut, 0),
                Err(Error::Truncated { got }) => assert_eq!(got, cut as u64),
                Ok(message) => assert_eq!((cut, message.bytes), (bytes.len(), payload.clone())),
                other => panic!("{cut} of {len}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_receive_that_times_out_loses_nothing() {
    let payload = vec![5; 1000];
    let bytes = [frame(&payload), frame(b"next")].concat();
    let (mut raw, wire) = half_raw();
    let mut received = Vec::new();
    for byte in bytes {
        assert!(matches!(wire.recv(soon()), Err(Error::TimedOut)));
        raw.write_all(&[byte]).unwrap();
        if let Ok(message) = wire.recv(soon()) {
            received.push(message.bytes);
        }
    }
    assert_eq!(received, [payload, b"next".to_vec()]);
}

#[test]
fn a_length_is_believed_only_as_far_as_bytes_come() {
    let (mut raw, wire) = half_raw();
    let mut head = vec![0; 256];
    head[..8].copy_from_slice(&(1u64 << 39).to_le_bytes());
    raw.write_all(&head).unwrap();
    assert!(matches!(wire.recv(soon()), Err(Error::TimedOut)), "half a TiB is waited for");
    drop(raw);
    assert!(matches!(wire.recv(None), Err(Error::Truncated { got: 256 })));
}

#[test]
fn a_message_over_the_limit_stays_until_the_limit_is_raised() {
    let (here, there) = Wire::pair().unwrap();
    here.send(&Message::from_bytes(vec![1; 1000]), None).unwrap();
    there.set_limit(999);
    for _ in 0..3 {
        assert!(matches!(there.recv(None), Err(Error::TooBig { len: 1000, max: 999 })));
    }
    there.set_limit(1000);
    assert_eq!(there.recv(None).unwrap().bytes, vec![1; 1000]);
}

#[test]
fn a_send_that_times_out_part_way_is_finished_by_the_next() {
    let (here, there) = Wire::pair().unwrap();
    let big = Message::from_bytes((0..4_000_000u32).map(|at| at as u8).collect());
    assert!(matches!(here.send(&big, soon()), Err(Error::Unfinished)));
    assert!(matches!(here.flush(soon()), Err(Error::Unfinished)));
    let small = Message::from_bytes(b"small".to_vec());
    assert!(matches!(here.send(&small, soon()), Err(Error::TimedOut)), "it did not go at all");
    std::thread::scope(|scope| {
        scope.spawn(|| here.send(&small, None).unwrap());
        assert_eq!(there.recv(None).unwrap().bytes, big.bytes);
        assert_eq!(there.recv(None).unwrap().bytes, b"small");
    });
    here.flush(soon()).unwrap();
}

#[test]
fn threads_take_turns_and_keep_their_deadlines() {
    let (here, there) = Wire::pair().unwrap();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| there.recv(None).unwrap().bytes);
        while there.recv(Some(Deadline::after(Duration::from_millis(5)))).is_ok() {}
        here.send(&Message::from_bytes(vec![1]), None).unwrap();
        assert_eq!(sleeper.join().unwrap(), [1]);
    });
    std::thread::scope(|scope| {
        for part in 0..4u8 {
            let here = &here;
            scope.spawn(move || {
                for _ in 0..50 {
                    here.send(&Message::from_bytes(vec![part; 10_000]), None).unwrap();
                }
            });
        }
        for _ in 0..200 {
            let bytes = there.recv(None).unwrap().bytes;
            assert_eq!(bytes, vec![bytes[0]; 10_000], "never parts of two");
        }
    });
}

#[test]
fn flags_that_are_not_known_are_a_protocol_error() {
    let (mut raw, wire) = half_raw();
    let mut bytes = frame(b"abc");
    bytes[12] = 1;
    raw.write_all(&bytes).unwrap();
    assert!(matches!(wire.recv(None), Err(Error::Protocol(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (mut raw, wire) = half_raw();
        raw.write_all(&bytes).unwrap();
        drop(raw);
        while wire.recv(None).is_ok() {}
    }

    #[test]
    fn arbitrary_headers_never_panic(
        len in prop_oneof![0..2000u64, any::<u64>()],
        fds in prop_oneof![Just(0u32), 0..1000u32, any::<u32>()],
        flags in 0..2u32,
        body in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let (mut raw, wire) = half_raw();
        raw.write_all(&len.to_le_bytes()).unwrap();
        raw.write_all(&fds.to_le_bytes()).unwrap();
        raw.write_all(&flags.to_le_bytes()).unwrap();
        raw.write_all(&body).unwrap();
        drop(raw);
        match wire.recv(None) {
            Ok(message) => prop_assert_eq!((message.bytes.len() as u64, fds, flags), (len, 0, 0)),
            Err(Error::TooBig { len: said, .. }) => prop_assert_eq!(said, len),
            Err(Error::Truncated { .. } | Error::Protocol(_)) => {}
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn what_is_sent_arrives(payloads in prop::collection::vec(0..100_000usize, 0..12)) {
        let (here, there) = Wire::pair().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (at, len) in payloads.iter().enumerate() {
                    here.send(&Message::from_bytes(vec![at as u8; *len]), None).unwrap();
                }
            });
            for (at, len) in payloads.iter().enumerate() {
                assert_eq!(there.recv(None).unwrap().bytes, vec![at as u8; *len]);
            }
        });
    }
}
