//! What happens when a chosen party dies, or stops, at a chosen place.

use std::time::{Duration, Instant};

use mp_sync::{
    Barrier, Condvar, Error, Event, LockError, Mutex, ReentrantMutex, RwLock, Semaphore,
};

use crate::crew::{Board, Member, Mode, join, until};

/// The longest that a death may cost.
const SOON: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_dead_holder_is_reported_once", a_dead_holder_is_reported_once),
    ("a_dead_holder_wakes_a_sleeper_at_once", a_dead_holder_wakes_a_sleeper_at_once),
    ("a_dead_recursive_holder", a_dead_recursive_holder),
    ("a_paused_holder_keeps_all", a_paused_holder_keeps_all),
    ("a_forked_child_unlocks_nothing", a_forked_child_unlocks_nothing),
    ("a_dead_reader_is_no_event", a_dead_reader_is_no_event),
    ("a_dead_writer_is_reported", a_dead_writer_is_reported),
    ("a_dead_lone_reader_is_no_event", a_dead_lone_reader_is_no_event),
    ("permits_of_the_dead_come_back", permits_of_the_dead_come_back),
    ("dead_waiters_are_in_nobodys_way", dead_waiters_are_in_nobodys_way),
    ("a_dead_party_breaks_the_barrier", a_dead_party_breaks_the_barrier),
    ("a_barrier_counts_only_the_living", a_barrier_counts_only_the_living),
    ("exec_is_a_death", exec_is_a_death),
];

/// A process that runs `f`, says so on the board at 50, and sleeps until it is killed.
fn holder<T>(board: &Board, f: impl FnOnce() -> T) -> Member {
    let all = board.clone();
    let before = board.get(50);
    let member = Member::Process(crate::crew::child(move || {
        let _held = f();
        all.add(50);
        loop {
            std::thread::park();
        }
    }));
    board.until(50, before + 1);
    member
}

fn a_dead_holder_is_reported_once() {
    let (mutex, board) = (Mutex::new(1_u32).unwrap(), Board::new());
    let dead = holder(&board, || {
        let mut guard = mutex.lock().unwrap();
        *guard = 2;
        guard
    });
    assert!(mutex.is_locked());
    dead.kill();
    assert!(!mutex.is_locked());
    let (same, all) = (mutex.clone(), board.clone());
    join(Mode::Processes.spawn_each(4, move |_| match same.lock() {
        Ok(_) => drop(all.add(0)),
        Err(LockError::OwnerDied(guard)) => {
            assert_eq!(*guard, 2, "what it had written is there");
            all.add(1);
        }
        Err(error) => panic!("{error}"),
    }));
    assert_eq!((board.get(0), board.get(1)), (3, 1));
}

fn a_dead_holder_wakes_a_sleeper_at_once() {
    let (mutex, board) = (Mutex::new(0_u32).unwrap(), Board::new());
    let dead = holder(&board, || mutex.lock().unwrap());
    let (same, all) = (mutex.clone(), board.clone());
    let waiters = Mode::Processes.spawn_each(3, move |i| {
        all.sleeper(i);
        if matches!(same.lock(), Err(LockError::OwnerDied(_))) {
            all.add(10);
        }
        all.add(11);
    });
    board.until_asleep(0..3);
    let start = Instant::now();
    dead.kill();
    board.until(11, 3);
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    join(waiters);
    assert_eq!(board.get(10), 1);
}

fn a_dead_recursive_holder() {
    let (mutex, board) = (ReentrantMutex::new(0_u32).unwrap(), Board::new());
    holder(&board, || (mutex.lock().unwrap(), mutex.lock().unwrap())).kill();
    match mutex.lock() {
        Err(LockError::OwnerDied(guard)) => assert_eq!(guard.count(), 1, "not the dead one's 2"),
        other => panic!("expected OwnerDied, found {other:?}"),
    }
    assert!(!mutex.is_locked());
    drop(mutex.lock().unwrap());
}

fn a_paused_holder_keeps_all() {
    let (mutex, lock) = (Mutex::new(0_u32).unwrap(), RwLock::new(0_u32).unwrap());
    let (semaphore, board) = (Semaphore::new(1).unwrap(), Board::new());
    let reader_lock = RwLock::new(0_u32).unwrap();
    let paused = holder(&board, || {
        let reader = reader_lock.read().unwrap();
        (mutex.lock().unwrap(), lock.write().unwrap(), semaphore.acquire().unwrap(), reader)
    });
    paused.stop();
    let start = Instant::now();
    let short = Duration::from_millis(120);
    assert!(matches!(mutex.lock_timeout(short), Err(LockError::Failed(Error::TimedOut))));
    assert!(matches!(lock.read_timeout(short), Err(LockError::Failed(Error::TimedOut))));
    assert!(matches!(reader_lock.write_timeout(short), Err(LockError::Failed(Error::TimedOut))));
    assert_eq!(semaphore.acquire_timeout(short).unwrap_err(), Error::TimedOut);
    assert!(start.elapsed() < 4 * short + 4 * SOON, "deadlines are met: {:?}", start.elapsed());
    assert!(reader_lock.try_read().is_ok());
    paused.go_on();
    paused.kill();
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
    assert!(matches!(lock.read(), Err(LockError::OwnerDied(_))));
    drop(reader_lock.write().unwrap());
    drop(semaphore.acquire_timeout(SOON).unwrap());
}

fn a_forked_child_unlocks_nothing() {
    let (mutex, semaphore) = (Mutex::new(0_u32).unwrap(), Semaphore::new(1).unwrap());
    let (lock, recursive) = (RwLock::new(0_u32).unwrap(), ReentrantMutex::new(0_u32).unwrap());
    let other = RwLock::new(0_u32).unwrap();
    let mut held = Some((
        mutex.lock().unwrap(),
        semaphore.acquire().unwrap(),
        lock.read().unwrap(),
        recursive.lock().unwrap(),
        other.write().unwrap(),
    ));
    // The child has copies of the guards, which it drops.
    Member::Process(crate::crew::child(|| drop(held.take()))).join();
    assert!(mutex.is_locked() && lock.is_locked() && recursive.is_locked() && other.is_locked());
    assert_eq!(semaphore.value(), 0);
    let (same, child_recursive) = (mutex.clone(), recursive.clone());
    let child = Mode::Processes.spawn(move || {
        assert!(matches!(same.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
        assert!(child_recursive.try_lock().is_err(), "the parent's hold is not the child's");
    });
    child.join();
    drop(held);
    assert!(!mutex.is_locked() && !lock.is_locked() && !recursive.is_locked());
    assert_eq!(semaphore.value(), 1);
    drop(other.write().unwrap());
}

fn a_dead_reader_is_no_event() {
    let (lock, board) = (RwLock::new(0_u32).unwrap(), Board::new());
    let dead = holder(&board, || lock.read().unwrap());
    let (same, all) = (lock.clone(), board.clone());
    let writer = Mode::Processes.spawn(move || {
        all.sleeper(0);
        *same.write().unwrap() = 1;
        all.add(1);
    });
    board.until_asleep(0..1);
    let start = Instant::now();
    dead.kill();
    board.until(1, 1);
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    writer.join();
    assert_eq!(*lock.read().unwrap(), 1);
}

fn a_dead_writer_is_reported() {
    let (lock, board) = (RwLock::new(0_u32).unwrap(), Board::new());
    holder(&board, || lock.write().unwrap()).kill();
    for _ in 0..2 {
        assert!(matches!(lock.read(), Err(LockError::OwnerDied(_))), "every reader is told");
        assert!(matches!(lock.try_read(), Err(LockError::OwnerDied(_))));
    }
    // A repairer that dies too has repaired nothing.
    holder(&board, || lock.write().unwrap_err()).kill();
    let again = lock.write();
    assert!(matches!(again, Err(LockError::OwnerDied(_))));
    drop(again);
    drop(lock.read().unwrap());
    drop(lock.write().unwrap());
}

fn a_dead_lone_reader_is_no_event() {
    let (lock, board) = (RwLock::new(0_u32).unwrap(), Board::new());
    let readers: Vec<_> = (0..33).map(|_| holder(&board, || lock.read().unwrap())).collect();
    readers.into_iter().for_each(Member::kill);
    drop(lock.read().unwrap());
    drop(lock.write().unwrap());
}

fn permits_of_the_dead_come_back() {
    let (semaphore, board) = (Semaphore::new(3).unwrap(), Board::new());
    let acquire = || semaphore.acquire().unwrap();
    let dead = holder(&board, || (acquire(), acquire(), acquire()));
    assert_eq!(semaphore.value(), 0);
    let (same, all) = (semaphore.clone(), board.clone());
    let waiters = Mode::Processes.spawn_each(3, move |i| {
        all.sleeper(i);
        let permit = same.acquire().unwrap();
        all.add(10);
        all.until(10, 3);
        drop(permit);
    });
    board.until_asleep(0..3);
    let start = Instant::now();
    dead.kill();
    board.until(10, 3);
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    join(waiters);
    assert_eq!(semaphore.value(), 3);
    // A forgotten permit does not come back.
    holder(&board, || semaphore.acquire().unwrap().forget()).kill();
    assert_eq!(semaphore.value(), 2);
}

/// #75158, #123899: `set`, `notify_all` and `Barrier.wait` blocked for ever behind a dead waiter.
fn dead_waiters_are_in_nobodys_way() {
    let (event, condvar) = (Event::new().unwrap(), Condvar::new().unwrap());
    let (mutex, board) = (Mutex::new(0_u32).unwrap(), Board::new());
    let (e, c, m, all) = (event.clone(), condvar.clone(), mutex.clone(), board.clone());
    let mut waiters = Mode::Processes.spawn_each(6, move |i| {
        if i < 3 {
            all.sleeper(i);
            e.wait().unwrap();
        } else {
            let guard = m.lock().unwrap();
            all.sleeper(i);
            drop(c.wait(guard).unwrap());
        }
    });
    board.until_asleep(0..6);
    waiters.remove(5).kill();
    waiters.remove(0).kill();
    let start = Instant::now();
    event.set();
    condvar.notify_all();
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    join(waiters);
    drop(mutex.lock().unwrap());
}

fn a_dead_party_breaks_the_barrier() {
    // Whoever of them dies, the first to come or the last.
    for victim in 0..3 {
        let (barrier, board) = (Barrier::new(4).unwrap(), Board::new());
        let mut parties: Vec<_> = (0..3)
            .map(|i| {
                let (same, all) = (barrier.clone(), board.clone());
                let member = Mode::Processes.spawn(move || {
                    all.sleeper(i);
                    assert_eq!(same.wait(), Err(Error::Broken));
                    all.add(10);
                });
                until("it waits", || barrier.waiting() == i + 1);
                member
            })
            .collect();
        board.until_asleep(0..3);
        let start = Instant::now();
        parties.remove(victim).kill();
        board.until(10, 2);
        assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
        join(parties);
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait_timeout(PATIENCE), Err(Error::Broken));
        barrier.reset();
        let same = barrier.clone();
        join(Mode::Processes.spawn_each(4, move |_| assert!(same.wait().is_ok())));
    }
}

fn a_barrier_counts_only_the_living() {
    let barrier = Barrier::new(3).unwrap();
    let same = barrier.clone();
    let party = Mode::Processes.spawn(move || assert!(same.wait().is_ok()));
    until("it waits", || barrier.waiting() == 1);
    party.kill();
    assert_eq!(barrier.waiting(), 0);
    assert!(barrier.is_broken());
}

fn exec_is_a_death() {
    use std::os::unix::process::CommandExt;
    let mutex = Mutex::new(0_u32).unwrap();
    let same = mutex.clone();
    let process = Mode::Processes.spawn(move || {
        let _guard = same.lock().unwrap();
        let error = std::process::Command::new("sleep").arg("60").exec();
        panic!("{error}");
    });
    // The process lives, but the program that held the lock does not.
    until("exec", || matches!(mutex.try_lock(), Err(LockError::OwnerDied(_))));
    process.kill();
}
