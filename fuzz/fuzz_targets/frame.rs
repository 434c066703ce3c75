//! Arbitrary bytes, in arbitrary pieces, as a stream of frames.

#![no_main]

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use libfuzzer_sys::fuzz_target;
use mp_ipc::{Deadline, Error, Wire};

fuzz_target!(|input: (u16, Vec<u8>)| {
    let (piece, bytes) = (usize::from(input.0).max(1), input.1);
    let (mut raw, end) = UnixStream::pair().unwrap();
    let wire = Wire::from(OwnedFd::from(end));
    wire.set_limit(1 << 20);
    for piece in bytes.chunks(piece) {
        raw.write_all(piece).unwrap();
        match wire.recv(Some(Deadline::now())) {
            Ok(message) => assert!(message.bytes.len() <= bytes.len()),
            Err(Error::TimedOut) => {}
            Err(_) => return,
        }
    }
    drop(raw);
    while wire.recv(None).is_ok() {}
});
