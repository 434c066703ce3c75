//! Arbitrary packets, with arbitrary descriptors, as letters between a process and its child.

#![no_main]

use std::io::{IoSlice, Write};
use std::os::fd::AsFd;

use libfuzzer_sys::fuzz_target;
use mp_fuzz::descriptor;
use mp_sys::socket::{self, SendFlags};

// Private there: no other program has letters.
#[allow(dead_code, reason = "only the receiving half is of interest")]
#[path = "../../mp-process/src/post.rs"]
mod post;

fuzz_target!(|packets: Vec<(bool, [u8; 4], Vec<u8>, Vec<u8>)>| {
    let (here, there) = socket::packet_pair().unwrap();
    for (good, head, bytes, kinds) in packets.iter().take(20) {
        let mut packet = Vec::new();
        if *good {
            // A header that fits, but for what `head` says: kind, form, followers, descriptors.
            packet = vec![head[0] % 9, head[1] % 3, head[2] % 4, 0, head[3] % 5, 0, 0, 0];
            packet.extend((bytes.len() as u64).to_le_bytes());
        }
        packet.extend(bytes);
        let fds: Vec<_> = kinds
            .iter()
            .take(5)
            .map(|kind| match kind {
                // A body that a long letter may have.
                128.. => {
                    let body =
                        mp_sys::memfd::create_open(c"body", bytes.len().max(1) as u64).unwrap();
                    let _ = std::fs::File::from(body.try_clone().unwrap()).write_all(bytes);
                    body
                }
                kind => descriptor(*kind),
            })
            .collect();
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let _ = socket::send(&here, &[IoSlice::new(&packet)], &fds, SendFlags::DONTWAIT);
    }
    drop(here);
    // Each packet is at most one letter, and the end is seen.
    for _ in 0..=20 {
        match post::try_recv(there.as_fd()) {
            Ok(Some(letter)) => assert!(letter.message.bytes.len() < 1 << 20),
            Ok(None) => return,
            Err(_) => {}
        }
    }
    panic!("the end does not come");
});
