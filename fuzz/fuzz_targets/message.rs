//! Arbitrary bytes, with arbitrary many descriptors, as values of all shapes.

#![no_main]

use std::collections::BTreeMap;
use std::fs::File;

use libfuzzer_sys::fuzz_target;
use mp_ipc::{
    Address, Connection, Fd, JoinableQueue, Key, Listener, Message, Queue, Receiver, Sender,
    SimpleQueue, decode,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Tree {
    Leaf,
    Text(String, Option<char>),
    Branch { numbers: Vec<u64>, map: BTreeMap<i16, f32>, inside: Vec<Tree> },
}

fn attempt<T: DeserializeOwned>(bytes: &[u8], fds: u8) {
    let fds = (0..fds % 3).map(|_| File::open("/dev/null").unwrap().into()).collect();
    let _ = decode::<T>(Message { bytes: bytes.to_vec(), fds });
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (which, fds, bytes) = input;
    match which % 12 {
        0 => attempt::<(u8, i64, String, [u32; 3])>(bytes, fds),
        1 => attempt::<Vec<Option<String>>>(bytes, fds),
        2 => attempt::<Fd>(bytes, fds),
        3 => attempt::<Connection<u8>>(bytes, fds),
        4 => attempt::<(Sender<u8>, Receiver<u8>)>(bytes, fds),
        5 => attempt::<Listener>(bytes, fds),
        6 => attempt::<(Address, Key)>(bytes, fds),
        7 => attempt::<Queue<u8>>(bytes, fds),
        8 => attempt::<SimpleQueue<u8>>(bytes, fds),
        9 => attempt::<JoinableQueue<u8>>(bytes, fds),
        10 => attempt::<Box<[String]>>(bytes, fds),
        _ => attempt::<Vec<(u16, Tree)>>(bytes, fds),
    }
});
