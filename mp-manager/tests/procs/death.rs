//! Clients die with what they hold and while they wait: the others learn of it, and go on.

use std::thread;
use std::time::{Duration, Instant};

use mp_manager::{
    Barrier, Condition, Error, Event, JoinableQueue, Lock, LockError, Manager, Queue, RLock,
    Semaphore,
};

use crate::Body;
use crate::crew::{Board, Mode, SHORT, join as join_all, sleep, until};

pub(crate) const BODIES: &[Body] = &[
    ("the_next_owner_of_a_lock_is_told", lock),
    ("one_of_many_waiters_is_told_and_the_others_get_it_clean", waiters),
    ("a_dead_waiter_is_not_given_the_lock", dead_waiter),
    ("who_waits_for_a_condition_is_told_of_a_dead_owner", condition),
    ("permits_come_back", permits),
    ("a_barrier_breaks", barrier),
    ("a_barrier_breaks_when_its_action_dies", action),
    ("an_event_and_a_condition_forget_the_dead", event_and_condition),
    ("what_was_leased_is_given_out_again", leases),
    ("join_says_that_a_consumer_died", join),
    ("a_dead_getter_takes_nothing_with_it", getter),
    ("a_dead_putter_leaves_nothing_behind", putter),
];

fn hold_lock((lock, ready): (RLock, Queue<()>)) {
    let _once = lock.lock().or_else(LockError::recover).unwrap();
    let _twice = lock.lock().or_else(LockError::recover).unwrap();
    ready.put(()).unwrap();
    sleep();
}

fn lock(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (lock, ready) = (manager.rlock().unwrap(), manager.queue(0).unwrap());
    let holder = mode.run(hold_lock, &(lock.clone(), ready.clone()));
    ready.get().unwrap();
    let timed = lock.lock_timeout(Duration::from_millis(20));
    assert!(matches!(timed, Err(LockError::Failed(Error::TimedOut))));
    holder.kill();
    let start = Instant::now();
    assert!(matches!(lock.lock(), Err(LockError::OwnerDied(_))));
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(lock.lock().is_ok(), "told once");
}

fn wait_lock((lock, told): (RLock, Queue<bool>)) {
    let died = matches!(lock.lock(), Err(LockError::OwnerDied(_)));
    told.put(died).unwrap();
}

fn waiters(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (lock, ready) = (manager.rlock().unwrap(), manager.queue(0).unwrap());
    let told: Queue<bool> = manager.queue(0).unwrap();
    let holder = mode.run(hold_lock, &(lock.clone(), ready.clone()));
    ready.get().unwrap();
    let waiting: Vec<_> =
        (0..3).map(|_| mode.run(wait_lock, &(lock.clone(), told.clone()))).collect();
    holder.kill();
    join_all(waiting);
    let mut told = told.get_many(9).unwrap();
    told.sort();
    assert_eq!(told, [false, false, true]);
}

fn wait_long((lock, ready): (Lock, Queue<()>)) {
    ready.put(()).unwrap();
    let _never = lock.lock();
    sleep();
}

fn dead_waiter(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (lock, ready) = (manager.lock().unwrap(), manager.queue(0).unwrap());
    let guard = lock.lock().unwrap();
    let waiter = mode.run(wait_long, &(lock.clone(), ready.clone()));
    ready.get().unwrap();
    waiter.end();
    drop(guard);
    assert!(lock.lock_timeout(Duration::from_secs(1)).is_ok(), "nobody had it meanwhile");
}

fn hold_condition((condition, ready): (Condition, Queue<()>)) {
    let mut guard = condition.lock().unwrap();
    guard.notify_one().unwrap();
    ready.put(()).unwrap();
    sleep();
}

fn condition(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (condition, ready) = (manager.condition().unwrap(), manager.queue(0).unwrap());
    let mut guard = condition.lock().unwrap();
    // It gets the lock when the wait below has begun, wakes its waiter, and dies.
    let holder = mode.run(hold_condition, &(condition.clone(), ready.clone()));
    thread::scope(|scope| {
        scope.spawn(|| {
            ready.get().unwrap();
            holder.kill();
        });
        assert!(matches!(guard.wait(), Err(LockError::OwnerDied(()))));
    });
    drop(guard);
    assert!(condition.lock().is_ok(), "told once");
}

fn hold_permits((semaphore, ready): (Semaphore, Queue<()>)) {
    let _permits = (semaphore.acquire().unwrap(), semaphore.acquire().unwrap());
    ready.put(()).unwrap();
    sleep();
}

fn permits(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (semaphore, ready) = (manager.semaphore(3).unwrap(), manager.queue(0).unwrap());
    let holder = mode.run(hold_permits, &(semaphore.clone(), ready.clone()));
    ready.get().unwrap();
    assert_eq!(semaphore.value().unwrap(), 1);
    let _mine = semaphore.acquire().unwrap();
    holder.kill();
    drop(semaphore.acquire_timeout(Duration::from_secs(1)).unwrap());
    assert_eq!(semaphore.value().unwrap(), 2);
}

fn meet((barrier, ready): (Barrier, Queue<()>)) {
    ready.put(()).unwrap();
    let _broken = barrier.wait();
    sleep();
}

fn barrier(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (barrier, ready) = (manager.barrier(3).unwrap(), manager.queue(0).unwrap());
    let party = mode.run(meet, &(barrier.clone(), ready.clone()));
    ready.get().unwrap();
    thread::scope(|scope| {
        let mine = scope.spawn(|| barrier.wait());
        until("both wait", || barrier.waiting().unwrap() == 2);
        party.kill();
        assert!(matches!(mine.join().unwrap(), Err(Error::Broken)));
    });
    assert_eq!(barrier.waiting().unwrap(), 0);
    barrier.reset().unwrap();
    assert!(!barrier.is_broken().unwrap());
}

fn act_forever((barrier, board): (Barrier, Board)) {
    until("the other comes", || barrier.waiting().unwrap() == 1);
    let act = || {
        board.add(0);
        sleep();
    };
    let _broken = barrier.wait_with(act);
}

fn action(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (barrier, board) = (manager.barrier(2).unwrap(), Board::new());
    let acting = mode.run(act_forever, &(barrier.clone(), board.clone()));
    thread::scope(|scope| {
        scope.spawn(|| {
            board.until(0, 1);
            acting.kill();
        });
        let passed = barrier.wait_with(|| panic!("the other comes last"));
        assert!(matches!(passed, Err(Error::Broken)));
    });
}

fn wait_event((event, condition, ready): (Event, Condition, Queue<()>)) {
    let waiting = event.clone();
    thread::spawn(move || waiting.wait());
    let mut guard = condition.lock().unwrap();
    ready.put(()).unwrap();
    let _never = guard.wait();
}

fn event_and_condition(mode: Mode) {
    let manager = Manager::start().unwrap();
    let ready = manager.queue(0).unwrap();
    let (event, condition) = (manager.event().unwrap(), manager.condition().unwrap());
    let waiter = mode.run(wait_event, &(event.clone(), condition.clone(), ready.clone()));
    ready.get().unwrap();
    // With the lock in hand the waiter sleeps.
    drop(condition.lock().unwrap());
    waiter.end();
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

fn leases(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (queue, ready) = (manager.joinable_queue(0).unwrap(), manager.queue(0).unwrap());
    queue.extend(0..5).unwrap();
    let consumer = mode.run(take_two, &(queue.clone(), ready.clone()));
    ready.get().unwrap();
    consumer.end();
    let left: Vec<u32> =
        (0..4).map(|_| queue.get_timeout(Duration::from_secs(1)).unwrap()).collect();
    assert_eq!(left, [1, 2, 3, 4], "0 was done; the others come in their order");
    assert!(matches!(queue.join_timeout(Duration::ZERO), Err(Error::TimedOut)));
    (0..4).for_each(|_| queue.task_done().unwrap());
    queue.join().unwrap();
    assert!(matches!(queue.task_done(), Err(Error::Overflow)));
}

fn join(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (queue, ready) = (manager.joinable_queue(0).unwrap(), manager.queue(0).unwrap());
    queue.extend(0..3).unwrap();
    let consumer = mode.run(take_two, &(queue.clone(), ready.clone()));
    ready.get().unwrap();
    thread::scope(|scope| {
        let joined = scope.spawn(|| queue.join());
        thread::sleep(SHORT);
        consumer.kill();
        assert!(matches!(joined.join().unwrap(), Err(Error::ConsumerDied)));
    });
    assert_eq!(queue.len().unwrap(), 2);
}

fn get_forever((queue, ready): (Queue<u32>, Queue<()>)) {
    ready.put(()).unwrap();
    let _never = queue.get();
    sleep();
}

fn getter(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (queue, ready) = (manager.queue(0).unwrap(), manager.queue(0).unwrap());
    for round in 0..20 {
        let getter = mode.run(get_forever, &(queue.clone(), ready.clone()));
        ready.get().unwrap();
        getter.end();
        queue.put(round).unwrap();
        assert_eq!(queue.get_timeout(Duration::from_secs(1)).unwrap(), round);
    }
}

fn put_forever((queue, board): (Queue<u32>, Board)) {
    board.sleeper(0);
    let _never = queue.put(7);
    sleep();
}

fn putter(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (queue, board) = (manager.queue(1).unwrap(), Board::new());
    queue.put(1).unwrap();
    let putter = mode.run(put_forever, &(queue.clone(), board.clone()));
    board.until_asleep(0..1, &manager);
    putter.end();
    assert_eq!(queue.get().unwrap(), 1);
    assert!(matches!(queue.try_get(), Err(Error::Empty)), "its value went with it");
    queue.put(2).unwrap();
}
