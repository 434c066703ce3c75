//! Clients die, and the server dies: the others learn of it, and go on.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_manager::{
    Barrier, Condition, Error, Event, JoinableQueue, Lock, LockError, Manager, Queue, RLock,
    Semaphore, StartMethod,
};
use mp_process::{Child, Process};

use crate::{trial, within};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("death::the_next_owner_of_a_lock_is_told", lock),
        trial("death::one_of_many_waiters_is_told_and_the_others_get_it_clean", waiters),
        trial("death::a_dead_waiter_is_not_given_the_lock", dead_waiter),
        trial("death::permits_come_back", permits),
        trial("death::a_barrier_breaks", barrier),
        trial("death::an_event_and_a_condition_forget_the_dead", event_and_condition),
        trial("death::what_was_leased_is_given_out_again", leases),
        trial("death::join_says_that_a_consumer_died", join),
        trial("death::a_dead_getter_takes_nothing_with_it", getter),
        trial("death::the_server_dies_and_all_calls_say_so_at_once", server),
        trial("death::the_server_ignores_sigint", sigint),
        trial("death::the_server_dies_with_its_owner", owner),
        trial("death::a_stopped_client_delays_nobody", stopped),
    ]
}

fn child<A>(function: fn(A), args: A) -> Child<()>
where
    A: serde::Serialize + serde::de::DeserializeOwned + 'static,
{
    Process::new(function, args).method(StartMethod::Fork).start().unwrap()
}

fn sleep() {
    std::thread::sleep(Duration::from_secs(60));
}

fn hold_lock((lock, ready): (RLock, Queue<()>)) {
    let _once = lock.lock().or_else(LockError::recover).unwrap();
    let _twice = lock.lock().or_else(LockError::recover).unwrap();
    ready.put(()).unwrap();
    sleep();
}

fn lock() {
    let manager = Manager::start().unwrap();
    let (lock, ready) = (manager.rlock().unwrap(), manager.queue(0).unwrap());
    let holder = child(hold_lock, (lock.clone(), ready.clone()));
    ready.get().unwrap();
    let timed = lock.lock_timeout(Duration::from_millis(20));
    assert!(matches!(timed, Err(LockError::Failed(Error::TimedOut))));
    holder.kill().unwrap();
    let start = Instant::now();
    assert!(matches!(lock.lock(), Err(LockError::OwnerDied(_))));
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(lock.lock().is_ok(), "told once");
}

fn wait_lock((lock, told): (RLock, Queue<bool>)) {
    let died = matches!(lock.lock(), Err(LockError::OwnerDied(_)));
    told.put(died).unwrap();
}

fn waiters() {
    let manager = Manager::start().unwrap();
    let (lock, ready) = (manager.rlock().unwrap(), manager.queue(0).unwrap());
    let told: Queue<bool> = manager.queue(0).unwrap();
    let holder = child(hold_lock, (lock.clone(), ready.clone()));
    ready.get().unwrap();
    let waiting: Vec<_> = (0..3).map(|_| child(wait_lock, (lock.clone(), told.clone()))).collect();
    holder.kill().unwrap();
    waiting.iter().for_each(|child| child.join().unwrap());
    let mut told = told.get_many(9).unwrap();
    told.sort();
    assert_eq!(told, [false, false, true]);
}

fn wait_long((lock, ready): (Lock, Queue<()>)) {
    ready.put(()).unwrap();
    let _never = lock.lock();
    sleep();
}

fn dead_waiter() {
    let manager = Manager::start().unwrap();
    let (lock, ready) = (manager.lock().unwrap(), manager.queue(0).unwrap());
    let guard = lock.lock().unwrap();
    let waiter = child(wait_long, (lock.clone(), ready.clone()));
    ready.get().unwrap();
    waiter.kill().unwrap();
    waiter.wait();
    drop(guard);
    assert!(lock.lock_timeout(Duration::from_secs(1)).is_ok(), "nobody had it meanwhile");
}

fn hold_permits((semaphore, ready): (Semaphore, Queue<()>)) {
    let _permits = (semaphore.acquire().unwrap(), semaphore.acquire().unwrap());
    ready.put(()).unwrap();
    sleep();
}

fn permits() {
    let manager = Manager::start().unwrap();
    let (semaphore, ready) = (manager.semaphore(3).unwrap(), manager.queue(0).unwrap());
    let holder = child(hold_permits, (semaphore.clone(), ready.clone()));
    ready.get().unwrap();
    assert_eq!(semaphore.value().unwrap(), 1);
    let _mine = semaphore.acquire().unwrap();
    holder.kill().unwrap();
    drop(semaphore.acquire_timeout(Duration::from_secs(1)).unwrap());
    assert_eq!(semaphore.value().unwrap(), 2);
}

fn meet((barrier, ready): (Barrier, Queue<()>)) {
    ready.put(()).unwrap();
    let _broken = barrier.wait();
    sleep();
}

fn barrier() {
    let manager = Manager::start().unwrap();
    let (barrier, ready) = (manager.barrier(3).unwrap(), manager.queue(0).unwrap());
    let party = child(meet, (barrier.clone(), ready.clone()));
    ready.get().unwrap();
    within(Duration::from_secs(5), "the party comes", || barrier.waiting().unwrap() == 1);
    let killer = child(
        |(barrier, pid): (Barrier, i32)| {
            within(Duration::from_secs(5), "both wait", || barrier.waiting().unwrap() == 2);
            mp_sys::pidfd::signal(mp_sys::pidfd::open(pid).unwrap(), 9).unwrap();
        },
        (barrier.clone(), party.pid()),
    );
    assert!(matches!(barrier.wait(), Err(Error::Broken)));
    killer.join().unwrap();
    assert_eq!(barrier.waiting().unwrap(), 0);
    barrier.reset().unwrap();
    assert!(!barrier.is_broken().unwrap());
}

fn wait_event((event, condition, ready): (Event, Condition, Queue<()>)) {
    let waiting = event.clone();
    std::thread::spawn(move || waiting.wait());
    let mut guard = condition.lock().unwrap();
    ready.put(()).unwrap();
    let _never = guard.wait();
}

fn event_and_condition() {
    let manager = Manager::start().unwrap();
    let ready = manager.queue(0).unwrap();
    let (event, condition) = (manager.event().unwrap(), manager.condition().unwrap());
    let waiter = child(wait_event, (event.clone(), condition.clone(), ready.clone()));
    ready.get().unwrap();
    // With the lock in hand the waiter sleeps.
    drop(condition.lock().unwrap());
    waiter.kill().unwrap();
    waiter.wait();
    let start = Instant::now();
    event.set().unwrap();
    assert_eq!(condition.lock().unwrap().notify_all().unwrap(), 0, "nobody sleeps there");
    assert!(start.elapsed() < Duration::from_millis(500));
}

fn take_two((queue, ready): (JoinableQueue<u32>, Queue<()>)) {
    queue.get().unwrap();
    queue.get().unwrap();
    queue.get().unwrap();
    queue.task_done().unwrap();
    ready.put(()).unwrap();
    sleep();
}

fn leases() {
    let manager = Manager::start().unwrap();
    let (queue, ready) = (manager.joinable_queue(0).unwrap(), manager.queue(0).unwrap());
    queue.extend(0..5).unwrap();
    let consumer = child(take_two, (queue.clone(), ready.clone()));
    ready.get().unwrap();
    consumer.kill().unwrap();
    consumer.wait();
    let left: Vec<u32> =
        (0..4).map(|_| queue.get_timeout(Duration::from_secs(1)).unwrap()).collect();
    assert_eq!(left, [1, 2, 3, 4], "0 was done; the others come in their order");
    assert!(matches!(queue.join_timeout(Duration::ZERO), Err(Error::TimedOut)));
    (0..4).for_each(|_| queue.task_done().unwrap());
    queue.join().unwrap();
    assert!(matches!(queue.task_done(), Err(Error::Overflow)));
}

fn join() {
    let manager = Manager::start().unwrap();
    let (queue, ready) = (manager.joinable_queue(0).unwrap(), manager.queue(0).unwrap());
    queue.extend(0..3).unwrap();
    let consumer = child(take_two, (queue.clone(), ready.clone()));
    ready.get().unwrap();
    let killer = child(
        |pid: i32| {
            std::thread::sleep(Duration::from_millis(50));
            mp_sys::pidfd::signal(mp_sys::pidfd::open(pid).unwrap(), 9).unwrap();
        },
        consumer.pid(),
    );
    assert!(matches!(queue.join(), Err(Error::ConsumerDied)));
    killer.join().unwrap();
    assert_eq!(queue.len().unwrap(), 2);
}

fn get_forever((queue, ready): (Queue<u32>, Queue<()>)) {
    ready.put(()).unwrap();
    let _never = queue.get();
    sleep();
}

fn getter() {
    let manager = Manager::start().unwrap();
    let (queue, ready) = (manager.queue(0).unwrap(), manager.queue(0).unwrap());
    for round in 0..20 {
        let getter = child(get_forever, (queue.clone(), ready.clone()));
        ready.get().unwrap();
        getter.kill().unwrap();
        getter.wait();
        queue.put(round).unwrap();
        assert_eq!(queue.get_timeout(Duration::from_secs(1)).unwrap(), round);
    }
}

fn blocked((lock, event, queue, ready): (Lock, Event, Queue<u32>, mp_ipc::SimpleQueue<String>)) {
    let tell = |what: &str, result: Result<(), Error>| {
        let told = match result {
            Err(Error::Disconnected) => what.to_owned(),
            other => format!("{what}: {other:?}"),
        };
        ready.put(told).unwrap();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let result = lock.lock().map(drop).map_err(|error| match error {
                LockError::Failed(error) => error,
                LockError::OwnerDied(_) => Error::NotOwner,
            });
            tell("lock", result);
        });
        scope.spawn(|| tell("event", event.wait()));
        scope.spawn(|| tell("get", queue.get().map(drop)));
        ready.put("ready".to_owned()).unwrap();
    });
    tell("later", event.is_set().map(drop));
}

fn server() {
    let manager = Manager::start().unwrap();
    let (lock, event) = (manager.lock().unwrap(), manager.event().unwrap());
    let queue = manager.queue(0).unwrap();
    let told = mp_ipc::SimpleQueue::new().unwrap();
    let _guard = lock.lock().unwrap();
    let args = (lock.clone(), event.clone(), queue.clone(), told.clone());
    let client = child(blocked, args);
    assert_eq!(told.get().unwrap(), "ready");
    std::thread::sleep(Duration::from_millis(100));
    let server = mp_sys::pidfd::open(manager.pid().unwrap()).unwrap();
    let start = Instant::now();
    mp_sys::pidfd::signal(&server, 9).unwrap();
    let mut all: Vec<String> = (0..4).map(|_| told.get().unwrap()).collect();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    all.sort();
    assert_eq!(all, ["event", "get", "later", "lock"]);
    client.join().unwrap();
    assert!(matches!(event.set(), Err(Error::Disconnected)));
    assert!(matches!(manager.list::<u8>(), Err(Error::Disconnected)));
    println!("server killed -> three blocked calls and a later one: {:?}", start.elapsed());
}

fn sigint() {
    let manager = Manager::start().unwrap();
    let server = mp_sys::pidfd::open(manager.pid().unwrap()).unwrap();
    mp_sys::pidfd::signal(&server, 2).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(manager.list_of([1]).unwrap().len().unwrap(), 1);
}

fn start_and_sleep(pid: mp_ipc::SimpleQueue<i32>) {
    let manager = Manager::start().unwrap();
    pid.put(manager.pid().unwrap()).unwrap();
    sleep();
}

fn owner() {
    let pid = mp_ipc::SimpleQueue::new().unwrap();
    let owner = child(start_and_sleep, pid.clone());
    let server = mp_sys::pidfd::open(pid.get().unwrap()).unwrap();
    owner.kill().unwrap();
    let gone = mp_sys::poll::wait_for(
        std::os::fd::AsFd::as_fd(&server),
        mp_sys::poll::Interest::Readable,
        Some(mp_sys::Deadline::after(Duration::from_secs(1))),
    );
    assert_eq!(gone, Ok(true));
}

fn ask_for_much((list, ready): (mp_manager::List<Vec<u8>>, Queue<()>)) {
    ready.put(()).unwrap();
    loop {
        let _ = list.to_vec();
    }
}

fn stopped() {
    let manager = Manager::start().unwrap();
    let list = manager.list::<Vec<u8>>().unwrap();
    list.extend((0..64).map(|_| vec![7; 1 << 18])).unwrap();
    let ready = manager.queue(0).unwrap();
    let reader = child(ask_for_much, (list.clone(), ready.clone()));
    ready.get().unwrap();
    reader.signal(19).unwrap();
    let start = Instant::now();
    (0..200).for_each(|_| assert_eq!(list.len().unwrap(), 64));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    reader.kill().unwrap();
}
