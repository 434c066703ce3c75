//! Arbitrary bytes, with descriptors of arbitrary kinds, as values of all shapes.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use mp_fuzz::descriptor;
use mp_ipc::{
    Address, Connection, Fd, JoinableQueue, Key, Listener, Message, Queue, Receiver, Sender,
    SimpleQueue, decode,
};
use mp_process::{FnId, Function, PanicInfo, Task, TaskError};
use mp_shm::{Array, Frozen, Region, ShareableList, SharedMemory, Value};
use mp_sync::{Barrier, Condvar, Event, Mutex, Parts, RwLock, Semaphore};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Tree {
    Leaf,
    Text(String, Option<char>),
    Branch { numbers: Vec<u64>, map: BTreeMap<i16, f32>, inside: Vec<Tree> },
}

fn attempt<T: DeserializeOwned>(bytes: &[u8], kinds: &[u8]) {
    let fds = kinds.iter().take(4).map(|kind| descriptor(*kind)).collect();
    let _ = decode::<T>(Message { bytes: bytes.to_vec(), fds });
}

fuzz_target!(|input: (u8, Vec<u8>, &[u8])| {
    let (which, kinds, bytes) = input;
    let attempt = match which % 22 {
        0 => attempt::<(u8, i64, String, [u32; 3])>,
        1 => attempt::<Vec<Option<String>>>,
        2 => attempt::<Vec<Fd>>,
        3 => attempt::<Connection<u8>>,
        4 => attempt::<(Sender<u8>, Receiver<u8>)>,
        5 => attempt::<Listener>,
        6 => attempt::<(Address, Key)>,
        7 => attempt::<Queue<u8>>,
        8 => attempt::<SimpleQueue<u8>>,
        9 => attempt::<JoinableQueue<u8>>,
        10 => attempt::<Box<[String]>>,
        11 => attempt::<Vec<(u16, Tree)>>,
        12 => attempt::<Vec<Region>>,
        13 => attempt::<(Array<u64>, Array<bool>, Value<i8>)>,
        14 => attempt::<Frozen<u32>>,
        15 => attempt::<(Mutex<u64>, Condvar, Event)>,
        16 => attempt::<(RwLock<()>, Semaphore, Barrier)>,
        17 => attempt::<Parts<u16>>,
        18 => attempt::<(SharedMemory, ShareableList)>,
        19 => attempt::<(FnId, TaskError, PanicInfo)>,
        20 => attempt::<Task>,
        _ => attempt::<Function<u8, u8>>,
    };
    attempt(bytes, &kinds);
});
