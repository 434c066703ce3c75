//! Handles of all rooms, as arguments and in messages, to a child of each kind.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use mp_ipc::{Connection, JoinableQueue, Listener, Queue, connect, decode, encode, pipe};
use mp_process::{Process, StartMethod};
use mp_shm::Value;
use mp_sync::{Event, Mutex};
use serde::{Deserialize, Serialize};

use crate::{Row, SOON};

pub(crate) const ROWS: &[Row] = &[
    ("handles_are_arguments", handles_are_arguments),
    ("handles_travel_through_a_connection", handles_travel_through_a_connection),
    ("handles_travel_through_a_queue", handles_travel_through_a_queue),
    ("handles_come_back", handles_come_back),
];

#[derive(Serialize, Deserialize)]
struct Handles {
    queues: Queue<Queue<u8>>,
    locks: Queue<Mutex<u64>>,
    joinable: JoinableQueue<u8>,
    value: Value<u64>,
    event: Event,
    connection: Connection<u8>,
    listener: Listener,
    #[serde(with = "mp_ipc::fd")]
    file: File,
    #[serde(with = "mp_ipc::fd")]
    socket: UnixStream,
    #[serde(with = "mp_ipc::fd")]
    owned: OwnedFd,
}

/// What the child does with them.
fn work(mut handles: Handles) {
    handles.queues.get().unwrap().put(1).unwrap();
    *handles.locks.get().unwrap().lock().unwrap() += 2;
    assert_eq!(handles.joinable.get().unwrap(), 3);
    handles.joinable.task_done().unwrap();
    handles.value.fetch_add(4);
    handles.connection.send(&5).unwrap();
    handles.file.write_all(b"six").unwrap();
    handles.socket.write_all(&[7]).unwrap();
    File::from(handles.owned).write_all(b"eight").unwrap();
    let client: Connection<u8> = handles.listener.accept().unwrap();
    client.send(&9).unwrap();
    handles.event.set();
}

/// Hands them over, and looks what has been done with them.
fn check(hand_over: impl FnOnce(Handles)) {
    let (queues, inner) = (Queue::new(0).unwrap(), Queue::new(0).unwrap());
    let (locks, lock) = (Queue::new(0).unwrap(), Mutex::new(0_u64).unwrap());
    let joinable = JoinableQueue::new(0).unwrap();
    let (value, event) = (Value::new(0).unwrap(), Event::new().unwrap());
    let (connection, far) = pipe::<u8, u8>().unwrap();
    let listener = Listener::private(None).unwrap();
    let (mut file, mut other_file) = (memory(), memory());
    let (socket, mut other_end) = UnixStream::pair().unwrap();
    queues.put(inner.clone()).unwrap();
    locks.put(lock.clone()).unwrap();
    joinable.put(3).unwrap();
    hand_over(Handles {
        queues,
        locks,
        joinable: joinable.clone(),
        value: value.clone(),
        event: event.clone(),
        connection,
        listener: decode(encode(&listener).unwrap()).unwrap(),
        file: file.try_clone().unwrap(),
        socket,
        owned: other_file.try_clone().unwrap().into(),
    });
    assert_eq!(inner.get_timeout(SOON).unwrap(), 1);
    let client: Connection<u8> = connect(listener.address(), None).unwrap();
    assert_eq!(client.recv_timeout(SOON).unwrap(), 9);
    event.wait_timeout(SOON).unwrap();
    assert_eq!((*lock.lock().unwrap(), value.load()), (2, 4));
    joinable.join_timeout(SOON).unwrap();
    assert_eq!(far.recv_timeout(SOON).unwrap(), 5);
    let mut byte = [0];
    other_end.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [7]);
    assert_eq!((text(&mut file), text(&mut other_file)), ("six".into(), "eight".into()));
}

fn memory() -> File {
    rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into()
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn handles_are_arguments(method: StartMethod) {
    let mut child = None;
    check(|handles| {
        child = Some(Process::new(work, handles).method(method).start().unwrap());
    });
    child.unwrap().join_timeout(SOON).unwrap();
}

fn handles_travel_through_a_connection(method: StartMethod) {
    let (here, there) = pipe::<Handles, ()>().unwrap();
    let receive = |there: Connection<(), Handles>| work(there.recv().unwrap());
    let child = Process::new(receive, there).method(method).start().unwrap();
    check(|handles| here.send(&handles).unwrap());
    child.join_timeout(SOON).unwrap();
}

fn handles_travel_through_a_queue(method: StartMethod) {
    let queue = Queue::new(1).unwrap();
    let receive = |queue: Queue<Handles>| work(queue.get().unwrap());
    let child = Process::new(receive, queue.clone()).method(method).start().unwrap();
    check(|handles| queue.put(handles).unwrap());
    child.join_timeout(SOON).unwrap();
}

/// What a child has made outlives it, if its parent has it.
fn handles_come_back(method: StartMethod) {
    let make = || {
        let queue = Queue::new(0).unwrap();
        queue.put((Mutex::new(7_u64).unwrap(), Value::new(8_u64).unwrap())).unwrap();
        queue
    };
    let child = Process::call(make).method(method).start().unwrap();
    let queue: Queue<(Mutex<u64>, Value<u64>)> = child.join_timeout(SOON).unwrap();
    let (lock, value) = queue.get_timeout(SOON).unwrap();
    assert_eq!((*lock.lock().unwrap(), value.load()), (7, 8));
}
