//! Handles of every room, sent to a process that was there before they were.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use libtest_mimic::Trial;
use mp_ipc::{Connection, JoinableQueue, Listener, Queue, SimpleQueue, connect, pipe};
use mp_shm::{Array, Value};
use mp_sync::{Event, Mutex, Semaphore};
use serde::{Deserialize, Serialize};

use crate::child::Child;
use crate::trial;

const LONG: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("every_handle_travels_through_a_connection", through_a_connection),
        trial("every_handle_travels_through_a_queue", through_a_queue),
    ]
}

#[derive(Serialize, Deserialize)]
struct Everything {
    queue: Queue<Connection<String>>,
    simple: SimpleQueue<u8>,
    joinable: JoinableQueue<u8>,
    mutex: Mutex<u64>,
    semaphore: Semaphore,
    event: Event,
    value: Value<i64>,
    array: Array<u16>,
    connection: Connection<u8>,
    listener: Listener,
    #[serde(with = "mp_ipc::fd")]
    socket: UnixStream,
}

/// What the child does with all of it.
fn use_all(mut all: Everything) {
    *all.mutex.lock().unwrap() += 5;
    all.value.fetch_add(6);
    all.array.set(2, 7).unwrap();
    all.simple.put(8).unwrap();
    assert_eq!(all.joinable.get().unwrap(), 9);
    all.joinable.task_done().unwrap();
    all.connection.send(&10).unwrap();
    all.socket.write_all(&[11]).unwrap();
    let (one, other) = pipe().unwrap();
    all.queue.put(other).unwrap();
    let server: Connection<u8> = all.listener.accept().unwrap();
    server.send(&12).unwrap();
    all.semaphore.release(1).unwrap();
    all.event.set();
    one.send(&"a connection that the child made".to_string()).unwrap();
}

fn check(send: impl FnOnce(Everything), child: Child) {
    let queue = Queue::new(4).unwrap();
    let simple = SimpleQueue::new().unwrap();
    let joinable = JoinableQueue::new(4).unwrap();
    let mutex = Mutex::new(1).unwrap();
    let semaphore = Semaphore::new(0).unwrap();
    let event = Event::new().unwrap();
    let value = Value::new(1).unwrap();
    let array = Array::new(4).unwrap();
    let listener = Listener::private(None).unwrap();
    let address = listener.address().clone();
    let copy: Listener = mp_ipc::decode(mp_ipc::encode(&listener).unwrap()).unwrap();
    let (connection, far) = pipe::<u8, u8>().unwrap();
    let (socket, mut other) = UnixStream::pair().unwrap();
    joinable.put(9).unwrap();
    send(Everything {
        queue: queue.clone(),
        simple: simple.clone(),
        joinable: joinable.clone(),
        mutex: mutex.clone(),
        semaphore: semaphore.clone(),
        event: event.clone(),
        value: value.clone(),
        array: array.clone(),
        connection,
        listener: copy,
        socket,
    });
    let client: Connection<u8> = connect(&address, None).unwrap();
    assert_eq!(client.recv_timeout(LONG).unwrap(), 12);
    event.wait_timeout(LONG).unwrap();
    semaphore.acquire().unwrap().forget();
    assert_eq!((*mutex.lock().unwrap(), value.load(), array.get(2)), (6, 7, Some(7)));
    assert_eq!(simple.get().unwrap(), 8);
    joinable.join().unwrap();
    assert_eq!(far.recv_timeout(LONG).unwrap(), 10);
    let mut byte = [0];
    other.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [11]);
    let made: Connection<String> = queue.get_timeout(LONG).unwrap();
    assert_eq!(made.recv_timeout(LONG).unwrap(), "a connection that the child made");
    child.succeed();
}

fn through_a_connection() {
    let (here, there) = pipe::<Everything, ()>().unwrap();
    let child = Child::run(|| use_all(there.recv().unwrap()));
    check(|all| here.send(&all).unwrap(), child);
}

fn through_a_queue() {
    let queue = Queue::<Everything>::new(2).unwrap();
    let child = Child::run(|| use_all(queue.get().unwrap()));
    check(|all| assert!(queue.put(all).is_ok()), child);
}
