//! What CPython's tests assert of `Lock`, `RLock`, `Semaphore`, `BoundedSemaphore` and `Event`.

use std::time::{Duration, Instant};

use mp_manager::{
    BoundedSemaphore, Error, Event, Lock, LockError, Manager, RLock, Semaphore, Value,
};

use crate::Body;
use crate::crew::{Board, Mode, SHORT, join};

pub(crate) const BODIES: &[Body] = &[
    ("lock", lock),
    ("lock_excludes", lock_excludes),
    ("rlock", rlock),
    ("rlock_excludes", rlock_excludes),
    ("semaphore", semaphore),
    ("semaphore_owned_elsewhere", semaphore_owned_elsewhere),
    ("semaphore_limits", semaphore_limits),
    ("bounded_semaphore", bounded_semaphore),
    ("bounded_semaphore_races", bounded_semaphore_races),
    ("event", event),
    ("event_set_then_clear", event_set_then_clear),
];

/// test_lock, test_lock_locked_2processes
fn lock(mode: Mode) {
    let manager = Manager::start().unwrap();
    let lock = manager.lock().unwrap();
    let guard = lock.lock().unwrap();
    assert!(matches!(lock.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
    assert!(matches!(lock.lock(), Err(LockError::Failed(Error::WouldDeadlock))));
    let other = |lock: Lock| {
        assert!(lock.is_locked().unwrap());
        assert!(matches!(lock.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
        let start = Instant::now();
        let late = lock.lock_timeout(SHORT);
        assert!(matches!(late, Err(LockError::Failed(Error::TimedOut))));
        assert!(start.elapsed() >= SHORT);
    };
    mode.run(other, &lock).join();
    drop(guard);
    assert!(!lock.is_locked().unwrap());
    mode.run(|lock: Lock| drop(lock.lock().unwrap()), &lock).join();
    assert!(!lock.is_locked().unwrap());
}

fn lock_excludes(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (lock, pair) = (manager.lock().unwrap(), manager.value(&[0_u32; 2]).unwrap());
    let party = |((lock, pair), _): ((Lock, Value<[u32; 2]>), u32)| {
        for _ in 0..100 {
            let _guard = lock.lock().unwrap();
            // Two steps, which only the lock makes one.
            let [a, b] = pair.get().unwrap();
            pair.set(&[a + 1, b + 1]).unwrap();
        }
    };
    join(mode.run_each(4, party, &(lock, pair.clone())));
    assert_eq!(pair.get().unwrap(), [400; 2]);
}

/// test_rlock, test_rlock_locked_2processes
fn rlock(mode: Mode) {
    let manager = Manager::start().unwrap();
    let lock = manager.rlock().unwrap();
    let guards = [lock.lock(), lock.try_lock(), lock.lock_timeout(SHORT)].map(Result::unwrap);
    let other = |lock: RLock| {
        assert!(lock.is_locked().unwrap());
        assert!(matches!(lock.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
        let late = lock.lock_timeout(SHORT);
        assert!(matches!(late, Err(LockError::Failed(Error::TimedOut))));
    };
    for guard in guards {
        mode.run(other, &lock).join();
        drop(guard);
    }
    mode.run(|lock: RLock| drop(lock.try_lock().unwrap()), &lock).join();
    assert!(!lock.is_locked().unwrap());
}

fn rlock_excludes(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (lock, count) = (manager.rlock().unwrap(), manager.value(&0_u32).unwrap());
    let party = |((lock, count), _): ((RLock, Value<u32>), u32)| {
        for _ in 0..50 {
            let _outer = lock.lock().unwrap();
            let _inner = lock.lock().unwrap();
            count.set(&(count.get().unwrap() + 1)).unwrap();
        }
    };
    join(mode.run_each(4, party, &(lock, count.clone())));
    assert_eq!(count.get().unwrap(), 200);
}

/// test_semaphore, test_timeout
fn semaphore(mode: Mode) {
    let manager = Manager::start().unwrap();
    let permits = manager.semaphore(2).unwrap();
    assert_eq!(permits.value().unwrap(), 2);
    permits.acquire().unwrap().forget().unwrap();
    assert_eq!(permits.value().unwrap(), 1);
    let second = permits.acquire().unwrap();
    assert_eq!(permits.value().unwrap(), 0);
    let other = |permits: Semaphore| {
        assert!(matches!(permits.try_acquire(), Err(Error::WouldBlock)));
        let start = Instant::now();
        assert!(matches!(permits.acquire_timeout(SHORT), Err(Error::TimedOut)));
        assert!(start.elapsed() >= SHORT);
        permits.release(1).unwrap(); // What another one took.
    };
    mode.run(other, &permits).join();
    assert_eq!(permits.value().unwrap(), 1);
    drop(second);
    assert_eq!(permits.value().unwrap(), 2);
    permits.release(3).unwrap();
    assert_eq!(permits.value().unwrap(), 5, "above the initial value");
}

fn semaphore_owned_elsewhere(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (permits, board) = (manager.semaphore(1).unwrap(), Board::new());
    let mine = permits.acquire().unwrap();
    let party = |((permits, board), i): ((Semaphore, Board), u32)| {
        board.sleeper(i);
        for _ in 0..50 {
            let permit = permits.acquire().unwrap();
            assert_eq!(board.add(10), 0, "two hold the only permit");
            board.set(10, 0);
            drop(permit);
        }
    };
    let waiters = mode.run_each(3, party, &(permits.clone(), board.clone()));
    board.until_asleep(0..3, &manager);
    drop(mine);
    join(waiters);
    assert_eq!(permits.value().unwrap(), 1);
}

fn semaphore_limits(mode: Mode) {
    let manager = Manager::start().unwrap();
    let max = i32::MAX as u32;
    assert!(matches!(manager.semaphore(max + 1), Err(Error::Overflow)));
    let permits = manager.semaphore(max).unwrap();
    let other = |permits: Semaphore| {
        for count in [1, u32::MAX] {
            assert!(matches!(permits.release(count), Err(Error::Overflow)));
        }
    };
    mode.run(other, &permits).join();
    assert_eq!(permits.value().unwrap(), max as usize);
}

/// test_bounded_semaphore
fn bounded_semaphore(mode: Mode) {
    let manager = Manager::start().unwrap();
    let permits = manager.bounded_semaphore(2).unwrap();
    assert!(matches!(permits.release(1), Err(Error::Overflow)));
    let owned = permits.acquire().unwrap();
    let other = |permits: BoundedSemaphore| {
        assert!(matches!(permits.release(1), Err(Error::Overflow)), "its owner gives it back");
    };
    mode.run(other, &permits).join();
    owned.forget().unwrap();
    mode.run(|permits: BoundedSemaphore| permits.release(1).unwrap(), &permits).join();
    assert!(matches!(permits.release(1), Err(Error::Overflow)));
    assert_eq!(permits.value().unwrap(), 2);
}

/// In C the check and the release are two steps, so two releases can both pass.
fn bounded_semaphore_races(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (permits, board) = (manager.bounded_semaphore(1).unwrap(), Board::new());
    let party = |((permits, board), _): ((BoundedSemaphore, Board), u32)| {
        if permits.release(1).is_ok() {
            board.add(0);
        }
    };
    for round in 1..=10 {
        permits.acquire().unwrap().forget().unwrap();
        join(mode.run_each(2, party, &(permits.clone(), board.clone())));
        assert_eq!((board.get(0), permits.value().unwrap()), (round, 1));
    }
}

/// test_event
fn event(mode: Mode) {
    let manager = Manager::start().unwrap();
    let event = manager.event().unwrap();
    assert!(!event.is_set().unwrap());
    assert!(matches!(event.wait_timeout(Duration::ZERO), Err(Error::TimedOut)));
    let start = Instant::now();
    assert!(matches!(event.wait_timeout(SHORT), Err(Error::TimedOut)));
    assert!(start.elapsed() >= SHORT);
    event.set().unwrap();
    assert!(event.is_set().unwrap());
    event.wait().unwrap();
    event.clear().unwrap();
    assert!(!event.is_set().unwrap());
    let setter = mode.run(|event: Event| event.set().unwrap(), &event);
    event.wait().unwrap();
    setter.join();
}

/// #95826: the flag is cleared before those who waited for it have looked.
fn event_set_then_clear(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (event, board) = (manager.event().unwrap(), Board::new());
    let party = |((event, board), i): ((Event, Board), u32)| {
        assert!(!event.is_set().unwrap());
        // It is connected: what it sleeps for next is the wait.
        board.sleeper(i);
        event.wait().unwrap();
    };
    let waiters = mode.run_each(3, party, &(event.clone(), board.clone()));
    board.until_asleep(0..3, &manager);
    event.set().unwrap();
    event.clear().unwrap();
    join(waiters);
    assert!(!event.is_set().unwrap());
}
