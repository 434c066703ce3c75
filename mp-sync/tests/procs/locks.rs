//! What CPython's tests assert of `Lock` and `RLock`, and the same for `RwLock` and `Event`.

use std::time::{Duration, Instant};

use mp_sync::{Error, Event, LockError, Mutex, ReentrantMutex, RwLock};

use crate::Body;
use crate::crew::{Board, Mode, join};

const SHORT: Duration = Duration::from_millis(30);

pub(crate) const BODIES: &[Body] = &[
    ("lock", lock),
    ("lock_excludes", lock_excludes),
    ("rlock", rlock),
    ("rlock_excludes", rlock_excludes),
    ("rwlock", rwlock),
    ("rwlock_the_33rd_reads_alone", rwlock_the_33rd_reads_alone),
    ("rwlock_never_tears", rwlock_never_tears),
    ("event", event),
    ("event_set_then_clear", event_set_then_clear),
];

/// test_lock, test_lock_locked_2processes
fn lock(mode: Mode) {
    let mutex = Mutex::new(7_u32).unwrap();
    let guard = mutex.lock().unwrap();
    assert!(matches!(mutex.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
    assert!(matches!(mutex.lock(), Err(LockError::Failed(Error::WouldDeadlock))));
    let same = mutex.clone();
    let other = mode.spawn(move || {
        assert!(same.is_locked());
        assert!(matches!(same.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
        let start = Instant::now();
        let late = same.lock_timeout(SHORT);
        assert!(matches!(late, Err(LockError::Failed(Error::TimedOut))));
        assert!(start.elapsed() >= SHORT);
    });
    other.join();
    drop(guard);
    assert!(!mutex.is_locked());
    let same = mutex.clone();
    mode.spawn(move || *same.lock().unwrap() += 1).join();
    assert_eq!(*mutex.lock().unwrap(), 8);
}

fn lock_excludes(mode: Mode) {
    let mutex = Mutex::new([0_u64; 2]).unwrap();
    let same = mutex.clone();
    join(mode.spawn_each(4, move |_| {
        for _ in 0..20_000 {
            let mut pair = same.lock().unwrap();
            pair[0] += 1;
            pair[1] += 1;
        }
    }));
    assert_eq!(*mutex.lock().unwrap(), [80_000; 2]);
}

/// test_rlock, test_rlock_locked_2processes, test_repr_rlock
fn rlock(mode: Mode) {
    let mutex = ReentrantMutex::new(0_u32).unwrap();
    let first = mutex.lock().unwrap();
    let second = mutex.try_lock().unwrap();
    let third = mutex.lock_timeout(SHORT).unwrap();
    assert_eq!(third.count(), 3);
    assert!(format!("{mutex:?}").contains("count: 3"));
    let same = mutex.clone();
    let other = mode.spawn(move || {
        assert!(same.is_locked());
        assert!(matches!(same.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
        let late = same.lock_timeout(SHORT);
        assert!(matches!(late, Err(LockError::Failed(Error::TimedOut))));
    });
    other.join();
    drop((first, third));
    assert!(mutex.is_locked(), "one guard is left");
    drop(second);
    assert!(!mutex.is_locked());
}

fn rlock_excludes(mode: Mode) {
    let mutex = ReentrantMutex::new(0_u64).unwrap();
    let same = mutex.clone();
    join(mode.spawn_each(4, move |_| {
        for _ in 0..5_000 {
            let outer = same.lock().unwrap();
            let inner = same.lock().unwrap();
            inner.set(outer.get() + 1);
        }
    }));
    assert_eq!(mutex.lock().unwrap().get(), 20_000);
}

fn rwlock(mode: Mode) {
    let lock = RwLock::new(5_u32).unwrap();
    let reading = lock.read().unwrap();
    let same = lock.clone();
    let other = mode.spawn(move || {
        assert_eq!(*same.read().unwrap(), 5, "readers share");
        assert!(matches!(same.try_write(), Err(LockError::Failed(Error::WouldBlock))));
        let late = same.write_timeout(SHORT);
        assert!(matches!(late, Err(LockError::Failed(Error::TimedOut))));
        assert_eq!(*same.try_read().unwrap(), 5, "a writer that gave up is gone");
    });
    other.join();
    assert!(matches!(lock.write(), Err(LockError::Failed(Error::WouldDeadlock))));
    drop(reading);
    let mut writing = lock.write().unwrap();
    *writing = 6;
    assert!(matches!(lock.read(), Err(LockError::Failed(Error::WouldDeadlock))));
    let same = lock.clone();
    let other = mode.spawn(move || {
        assert!(matches!(same.try_read(), Err(LockError::Failed(Error::WouldBlock))));
        let late = same.read_timeout(SHORT);
        assert!(matches!(late, Err(LockError::Failed(Error::TimedOut))));
    });
    other.join();
    drop(writing);
    assert_eq!(*lock.read().unwrap(), 6);
    assert!(!lock.is_locked());
}

fn rwlock_the_33rd_reads_alone(mode: Mode) {
    let lock = RwLock::new(1_u32).unwrap();
    let (board, leave) = (Board::new(), Event::new().unwrap());
    let (same, all, door) = (lock.clone(), board.clone(), leave.clone());
    let readers = mode.spawn_each(33, move |_| {
        let guard = same.read().unwrap();
        all.add(0);
        door.wait().unwrap();
        assert_eq!(*guard, 1);
    });
    board.until(0, 33);
    assert!(matches!(lock.try_read(), Err(LockError::Failed(Error::WouldBlock))), "the 34th");
    leave.set();
    join(readers);
    *lock.write().unwrap() = 2;
    assert_eq!(*lock.read().unwrap(), 2);
}

fn rwlock_never_tears(mode: Mode) {
    let lock = RwLock::new([0_u64; 8]).unwrap();
    let same = lock.clone();
    join(mode.spawn_each(4, move |who| {
        for round in 0..3_000 {
            if who == 0 || round % 10 == 0 {
                same.write().unwrap().iter_mut().for_each(|n| *n += 1);
            } else {
                let all = same.read().unwrap();
                assert!(all.iter().all(|n| *n == all[0]), "torn: {all:?}");
            }
        }
    }));
    assert_eq!(lock.read().unwrap()[0], 3_000 + 3 * 300);
}

/// test_event
fn event(mode: Mode) {
    let event = Event::new().unwrap();
    assert!(!event.is_set());
    assert_eq!(event.wait_timeout(Duration::ZERO), Err(Error::TimedOut));
    let start = Instant::now();
    assert_eq!(event.wait_timeout(SHORT), Err(Error::TimedOut));
    assert!(start.elapsed() >= SHORT);
    event.set();
    assert!(event.is_set());
    event.wait().unwrap();
    event.clear();
    assert!(!event.is_set());
    let same = event.clone();
    let setter = mode.spawn(move || same.set());
    event.wait().unwrap();
    setter.join();
}

/// #95826: the flag is cleared before those who waited for it have looked.
fn event_set_then_clear(mode: Mode) {
    let (event, board) = (Event::new().unwrap(), Board::new());
    let (same, all) = (event.clone(), board.clone());
    let waiters = mode.spawn_each(3, move |i| {
        all.sleeper(i);
        same.wait().unwrap();
    });
    board.until_asleep(0..3);
    event.set();
    event.clear();
    join(waiters);
    assert!(!event.is_set());
}
