//! The server dies, or somebody is slow: who waits is told, and nobody else is delayed.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_manager::{
    Address, Barrier, BoundedSemaphore, Condition, Dict, Error, Event, JoinableQueue, Key, List,
    Lock, LockError, Manager, Pool, Proxy, Queue, RLock, Semaphore, Served, Service, StartMethod,
    Value,
};
use mp_process::Process;
use mp_sys::pidfd;

use crate::crew::{Board, Mode, SHORT, sleep, until};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("server::it_dies_and_every_call_says_so_at_once", dies),
        trial("server::its_end_can_be_waited_for", joined),
        trial("server::it_ignores_sigint", sigint),
        trial("server::it_dies_with_its_owner", owner),
    ]
}

struct Slow;

impl Service for Slow {
    type Args = ();
    type Request = ();
    type Reply = ();
    type Error = ();

    const SLOW: bool = true;

    fn open((): ()) -> Result<Slow, ()> {
        Ok(Slow)
    }

    fn handle(&mut self, (): ()) -> Result<(), ()> {
        sleep();
        Ok(())
    }
}

fn kill(pid: i32, signal: i32) {
    pidfd::signal(pidfd::open(pid).unwrap(), signal).unwrap();
}

fn failed<T>(result: Result<T, LockError<T>>) -> Result<(), Error> {
    match result {
        Ok(_) | Err(LockError::OwnerDied(_)) => Ok(()),
        Err(LockError::Failed(error)) => Err(error),
    }
}

/// A call that does not return while the server lives.
type Blocked = (&'static str, Box<dyn FnOnce() -> Result<(), Error> + Send>);

/// Every kind of blocking call, on objects that are as they must be for it.
fn blocking(manager: &Manager, remote: bool) -> Vec<Blocked> {
    let lock: Lock = manager.named("lock").unwrap();
    let rlock: RLock = manager.named("rlock").unwrap();
    let semaphore: Semaphore = manager.named("semaphore").unwrap();
    let bounded: BoundedSemaphore = manager.named("bounded").unwrap();
    let condition: Condition = manager.condition().unwrap();
    let event: Event = manager.event().unwrap();
    let barrier: Barrier = manager.barrier(2).unwrap();
    let empty: Queue<u8> = manager.queue(1).unwrap();
    let full: Queue<u8> = manager.queue(1).unwrap();
    let jobs: JoinableQueue<u8> = manager.joinable_queue(1).unwrap();
    let none: JoinableQueue<u8> = manager.joinable_queue(1).unwrap();
    let slow: Served<Slow> = manager.create("slow", &()).unwrap();
    full.put(1).unwrap();
    jobs.put(1).unwrap();
    let (full_jobs, timed) = (jobs.clone(), event.clone());
    let mut all: Vec<Blocked> = vec![
        ("lock", Box::new(move || failed(lock.lock()))),
        ("rlock", Box::new(move || failed(rlock.lock()))),
        ("semaphore", Box::new(move || semaphore.acquire().map(drop))),
        ("bounded semaphore", Box::new(move || bounded.acquire().map(drop))),
        (
            "condition",
            Box::new(move || {
                let mut guard = condition.lock().or_else(LockError::recover)?;
                failed(guard.wait())
            }),
        ),
        ("event", Box::new(move || event.wait())),
        ("event, timed", Box::new(move || timed.wait_timeout(Duration::from_secs(60)))),
        ("barrier", Box::new(move || barrier.wait().map(drop))),
        ("queue get", Box::new(move || empty.get().map(drop))),
        ("queue put", Box::new(move || full.put(2).map_err(Error::from))),
        ("joinable queue get", Box::new(move || none.get().map(drop))),
        ("joinable queue put", Box::new(move || full_jobs.put(2).map_err(Error::from))),
        ("joinable queue join", Box::new(move || jobs.join())),
        (
            "service",
            Box::new(move || match slow.call(&()) {
                Err(mp_manager::CallError::Failed(error)) => Err(error),
                _ => Ok(()),
            }),
        ),
    ];
    if !remote {
        let pool: Pool = manager.pool(1).unwrap();
        all.push(("pool", Box::new(move || pool.apply(|(): ()| sleep(), &()))));
    }
    all
}

fn all_blocked((manager, remote, board): (Way, bool, Board)) {
    let manager = manager.open();
    let (dict, value): (Dict<u8, u8>, Value<u8>) =
        (manager.dict().unwrap(), manager.value(&1).unwrap());
    let list: List<u8> = manager.list().unwrap();
    let calls = blocking(&manager, remote);
    let (place, (told, answers)) = (if remote { 30 } else { 0 }, mpsc::channel());
    let count = calls.len() as u32;
    for (number, (name, call)) in (place..).zip(calls) {
        let (board, told) = (board.clone(), told.clone());
        thread::spawn(move || {
            board.sleeper(number);
            told.send((name, call())).unwrap();
        });
    }
    board.set(60 + u32::from(remote), count);
    let mut slowest = None;
    for _ in 0..count {
        let (name, result) = answers.recv().unwrap();
        let start = *slowest.get_or_insert_with(Instant::now);
        assert!(matches!(result, Err(Error::Disconnected)), "{name}: {result:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{name}: {:?}", start.elapsed());
    }
    board.add(62);
    let later = [
        dict.insert(&1, &1).map(drop),
        value.get().map(drop),
        list.to_vec().map(drop),
        manager.lock().map(drop),
        manager.names().map(drop),
        manager.object_count().map(drop),
    ];
    assert!(later.iter().all(|call| matches!(call, Err(Error::Disconnected))), "{later:?}");
}

/// How a client comes to its manager.
#[derive(serde::Serialize, serde::Deserialize)]
enum Way {
    Family(Manager),
    Elsewhere(Address, Key),
}

impl Way {
    fn open(self) -> Manager {
        match self {
            Way::Family(manager) => manager,
            Way::Elsewhere(address, key) => Manager::connect(&address, &key).unwrap(),
        }
    }
}

fn publish<P: Proxy>(manager: &Manager, name: &str, proxy: P) -> P {
    manager.publish(name, &proxy).unwrap();
    proxy
}

fn dies() {
    let manager = Manager::builder().register::<Slow>("slow").start().unwrap();
    let key = Key::random().unwrap();
    let any = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = manager.serve(&any, &key).unwrap();
    let lock = publish(&manager, "lock", manager.lock().unwrap());
    let rlock = publish(&manager, "rlock", manager.rlock().unwrap());
    let semaphore = publish(&manager, "semaphore", manager.semaphore(1).unwrap());
    let bounded = publish(&manager, "bounded", manager.bounded_semaphore(1).unwrap());
    let _held = (lock.lock().unwrap(), rlock.lock().unwrap());
    let _taken = (semaphore.acquire().unwrap(), bounded.acquire().unwrap());
    let board = Board::new();
    let clients = [
        (Way::Family(mp_ipc::decode(mp_ipc::encode(&manager).unwrap()).unwrap()), false),
        (Way::Elsewhere(address, key), true),
    ]
    .map(|(way, remote)| {
        let process = Process::new(all_blocked, (way, remote, board.clone()));
        process.method(StartMethod::Spawn).start().unwrap()
    });
    for (place, first) in [(60, 0), (61, 30)] {
        until("the client has begun", || board.get(place) > 0);
        board.until_asleep(first..first + board.get(place), &manager);
    }
    thread::sleep(SHORT);
    let start = Instant::now();
    kill(manager.pid().unwrap(), 9);
    until("all are told", || board.get(62) == 2);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    println!(
        "server killed -> {} blocked calls of two clients say so: {took:?}",
        board.get(60) + board.get(61)
    );
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(matches!(manager.event(), Err(Error::Disconnected)));
}

fn wait_for_the_end((way, board): (Way, Board)) {
    let manager = way.open();
    assert!(matches!(manager.join_timeout(SHORT), Err(Error::TimedOut)));
    board.add(0);
    manager.join().unwrap();
    manager.join_timeout(Duration::ZERO).unwrap();
}

fn joined() {
    let (manager, key, board) = (Manager::start().unwrap(), Key::random().unwrap(), Board::new());
    let any = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = manager.serve(&any, &key).unwrap();
    let family = mp_ipc::decode(mp_ipc::encode(&manager).unwrap()).unwrap();
    let waiting = [Way::Family(family), Way::Elsewhere(address, key)].map(|way| {
        let process = Process::new(wait_for_the_end, (way, board.clone()));
        process.method(StartMethod::Fork).start().unwrap()
    });
    board.until(0, 2);
    manager.shutdown().unwrap();
    waiting.into_iter().for_each(|client| client.join_timeout(Duration::from_secs(5)).unwrap());
}

fn sigint() {
    let manager = Manager::start().unwrap();
    kill(manager.pid().unwrap(), 2);
    thread::sleep(SHORT);
    assert_eq!(manager.list_of([1]).unwrap().len().unwrap(), 1);
}

fn start_and_sleep(pid: mp_ipc::SimpleQueue<i32>) {
    let manager = Manager::start().unwrap();
    pid.put(manager.pid().unwrap()).unwrap();
    sleep();
}

fn owner() {
    let pid = mp_ipc::SimpleQueue::new().unwrap();
    let owner = Mode::Fork.run(start_and_sleep, &pid);
    let server = pidfd::open(pid.get().unwrap()).unwrap();
    owner.kill();
    let gone = mp_sys::poll::wait_for(
        std::os::fd::AsFd::as_fd(&server),
        mp_sys::poll::Interest::Readable,
        Some(mp_sys::Deadline::after(Duration::from_secs(1))),
    );
    assert_eq!(gone, Ok(true));
}
