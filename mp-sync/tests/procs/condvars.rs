//! What CPython's tests assert of `Condition`.

use std::time::{Duration, Instant};

use mp_sync::{Condvar, LockError, Mutex, ReentrantMutex, Waited};

use crate::Body;
use crate::crew::{Board, Mode, join};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(20);
/// Where the board counts those who have woken.
const WOKEN: usize = 60;

pub(crate) const BODIES: &[Body] = &[
    ("condvar_notify", notify),
    ("condvar_notify_all", notify_all),
    ("condvar_notify_n", notify_n),
    ("condvar_timeout", timeout),
    ("condvar_wait_while", wait_while),
    ("condvar_wait_while_timeout", wait_while_timeout),
    ("condvar_wait_result", wait_result),
    ("condvar_restores_a_recursive_hold", restores_a_recursive_hold),
];

/// Waiters that are all asleep when this returns.
fn sleepers(
    mode: Mode,
    (mutex, condvar, board): &(Mutex<u32>, Condvar, Board),
    places: std::ops::Range<usize>,
    timeout: Option<Duration>,
) -> Vec<crate::crew::Member> {
    let first = places.start;
    let (mutex, condvar, all) = (mutex.clone(), condvar.clone(), board.clone());
    let members = mode.spawn_each(places.len(), move |i| {
        let guard = mutex.lock().unwrap();
        all.sleeper(first + i);
        match timeout {
            None => drop(condvar.wait(guard).unwrap()),
            Some(timeout) => {
                let (guard, waited) = condvar.wait_timeout(guard, timeout).unwrap();
                assert_eq!(waited, Waited::TimedOut);
                drop(guard);
            }
        }
        all.add(WOKEN);
    });
    board.until_asleep(places);
    members
}

fn set() -> (Mutex<u32>, Condvar, Board) {
    (Mutex::new(0).unwrap(), Condvar::new().unwrap(), Board::new())
}

/// test_notify
fn notify(mode: Mode) {
    let set = set();
    set.1.notify_one(); // Nobody is there, and nobody will hear of it later.
    let waiters = sleepers(mode, &set, 0..2, None);
    assert_eq!(set.2.get(WOKEN), 0);
    set.1.notify_one();
    set.2.until(WOKEN, 1);
    std::thread::sleep(SHORT);
    assert_eq!(set.2.get(WOKEN), 1, "one notification, one waiter");
    set.1.notify_one();
    join(waiters);
}

/// test_notify_all: waiters with a timeout come first and are gone when it is called.
fn notify_all(mode: Mode) {
    let set = set();
    join(sleepers(mode, &set, 0..3, Some(Duration::from_millis(200))));
    assert_eq!(set.2.get(WOKEN), 3);
    let waiters = sleepers(mode, &set, 3..9, None);
    set.1.notify_all();
    join(waiters);
    assert_eq!(set.2.get(WOKEN), 9);
}

/// test_notify_n: 2, then 4, then 3 of nobody.
fn notify_n(mode: Mode) {
    let set = set();
    let waiters = sleepers(mode, &set, 0..6, None);
    set.1.notify(2);
    set.2.until(WOKEN, 2);
    std::thread::sleep(SHORT);
    assert_eq!(set.2.get(WOKEN), 2);
    set.1.notify(4);
    join(waiters);
    set.1.notify(3);
    assert_eq!(set.2.get(WOKEN), 6);
    let late = sleepers(mode, &set, 6..7, Some(SHORT * 3));
    join(late);
}

/// test_timeout
fn timeout(_: Mode) {
    let (mutex, condvar, _) = set();
    let start = Instant::now();
    let (guard, waited) = condvar.wait_timeout(mutex.lock().unwrap(), SHORT).unwrap();
    assert_eq!(waited, Waited::TimedOut);
    assert!(start.elapsed() >= SHORT);
    let again = condvar.wait_timeout_while(guard, Duration::ZERO, |n| **n == 0).unwrap();
    assert_eq!(again.1, Waited::TimedOut);
}

/// test_waitfor
fn wait_while(mode: Mode) {
    let (mutex, condvar, _) = set();
    let (other_mutex, other_condvar) = (mutex.clone(), condvar.clone());
    let other = mode.spawn(move || {
        for _ in 0..4 {
            *other_mutex.lock().unwrap() += 1;
            other_condvar.notify_one();
        }
    });
    let guard = condvar.wait_while(mutex.lock().unwrap(), |n| **n < 4).unwrap();
    assert_eq!(*guard, 4);
    drop(guard);
    other.join();
}

/// test_waitfor_timeout: woken three times, and never true.
fn wait_while_timeout(mode: Mode) {
    let (mutex, condvar, board) = set();
    let (other, all) = (condvar.clone(), board.clone());
    let notifier = mode.spawn(move || {
        all.until(0, 1);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(10));
            other.notify_one();
        }
    });
    let guard = mutex.lock().unwrap();
    board.set(0, 1);
    let start = Instant::now();
    let total = Duration::from_millis(100);
    let (_guard, waited) = condvar.wait_timeout_while(guard, total, |n| **n != 4).unwrap();
    assert_eq!(waited, Waited::TimedOut);
    assert!(start.elapsed() >= total);
    notifier.join();
}

/// test_wait_result
fn wait_result(mode: Mode) {
    let (mutex, condvar, _) = set();
    let guard = mutex.lock().unwrap();
    let (other_mutex, other_condvar) = (mutex.clone(), condvar.clone());
    let notifier = mode.spawn(move || {
        drop(other_mutex.lock().unwrap()); // So the other one has begun to wait.
        other_condvar.notify_all();
    });
    let (guard, waited) = condvar.wait_timeout(guard, LONG).unwrap();
    assert_eq!(waited, Waited::Notified);
    notifier.join();
    let (_guard, waited) = condvar.wait_timeout(guard, SHORT).unwrap();
    assert_eq!(waited, Waited::TimedOut);
}

fn restores_a_recursive_hold(mode: Mode) {
    let (mutex, condvar) = (ReentrantMutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    let outer = mutex.lock().unwrap();
    let inner = mutex.lock().unwrap();
    let (other_mutex, other_condvar) = (mutex.clone(), condvar.clone());
    let other = mode.spawn(move || {
        // Only possible if the wait has released both holds.
        other_mutex.lock().or_else(LockError::recover).unwrap().set(1);
        other_condvar.notify_one();
    });
    let inner = condvar.wait_while(inner, |guard| guard.get() == 0).unwrap();
    assert_eq!((inner.count(), outer.get()), (2, 1));
    other.join();
    drop(inner);
    assert!(mutex.is_locked());
    drop(outer);
    assert!(!mutex.is_locked());
}
