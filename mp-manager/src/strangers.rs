//! A server within this process and two strangers who send it whatever: for a property test, and
//! for the fuzz target `request`.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use mp_sys::{Deadline, socket};

use crate::later::Later;
use crate::protocol::{Request, VERSION};
use crate::server::Server;
use crate::service::Desks;

/// How much goes at once: less than what a socket takes.
const PIECE: usize = 16 << 10;

/// Has two strangers say hello and send these bytes by turns; how many bytes they are answered.
///
/// # Panics
///
/// If the server fails, or still knows them when they are gone.
pub fn feed(inputs: [&[u8]; 2]) -> usize {
    let (_door, inner) = socket::packet_pair().unwrap();
    let (later, ear) = Later::new().unwrap();
    let desks = Desks::installed(later.clone());
    let mut server = Server::new(inner, desks, later, ear, 1 << 20).unwrap();
    let mut strangers = inputs.map(|input| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        server.adopt(OwnedFd::from(theirs), None, false);
        ours.set_nonblocking(true).unwrap();
        (ours, [&hello(), input].concat())
    });
    let (mut answered, mut scratch) = (0, vec![0; 1 << 16]);
    while strangers.iter().any(|(_, input)| !input.is_empty()) {
        for (stranger, input) in &mut strangers {
            let piece = input.len().min(PIECE);
            // The server may have sent it away.
            let _ = stranger.write_all(&input[..piece]);
            input.drain(..piece);
            server.round(Some(Deadline::now())).unwrap();
            while let Ok(bytes @ 1..) = stranger.read(&mut scratch) {
                answered += bytes;
            }
        }
    }
    drop(strangers);
    while server.is_used() {
        server.round(Some(Deadline::now())).unwrap();
    }
    answered
}

fn hello() -> Vec<u8> {
    let hello = Request::Hello { version: VERSION, token: None };
    let body = postcard::to_stdvec(&hello).unwrap();
    [&(body.len() as u32).to_le_bytes(), &body[..]].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bodies of requests: mostly small numbers, so that tags and lengths fit now and then.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![6 => 0..24_u8, 1 => Just(255), 1 => any::<u8>()];
        let op = prop::collection::vec(byte.clone(), 1..24);
        // To objects, which are numbered from one, go most of them.
        prop_oneof![
            3 => (1..6_u8, op).prop_map(|(object, op)| [&[2, object], &op[..]].concat()),
            1 => prop::collection::vec(byte, 0..40),
            1 => create(),
        ]
    }

    /// An object of any kind.
    fn create() -> impl Strategy<Value = Vec<u8>> {
        let init = prop_oneof![
            Just(vec![0]),
            Just(vec![1, 0]),
            Just(vec![2, 0]),
            any::<u8>().prop_map(|n| vec![3, n & 0x7f]),
        ];
        (0..18_u8, init).prop_map(|(kind, init)| [&[1, kind, 0], &init[..]].concat())
    }

    fn input() -> impl Strategy<Value = Vec<u8>> {
        let frame = (body(), 0..40_u8).prop_map(|(body, wrong)| {
            let len = if wrong == 0 { u32::MAX } else { body.len() as u32 };
            [&len.to_le_bytes(), &body[..]].concat()
        });
        prop::collection::vec(frame, 0..60).prop_map(|frames| frames.concat())
    }

    proptest! {
        #[test]
        fn whatever_strangers_send_the_server_goes_on(first in input(), second in input()) {
            prop_assert!(feed([&first, &second]) > 0, "they are answered");
        }
    }
}
