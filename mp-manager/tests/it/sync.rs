//! The table of features.md 1.5, row by row, over proxies; the parties are threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mp_manager::{Barrier, Condition, Error, LockError, Waited};

use crate::world::manager;

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(10);

/// Waits until it is so.
fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "it never was");
        thread::yield_now();
    }
}

#[test]
fn lock_excludes_tries_and_times_out() {
    let lock = manager().lock().unwrap();
    let guard = lock.lock().unwrap();
    assert!(matches!(lock.lock(), Err(LockError::Failed(Error::WouldDeadlock))));
    assert!(matches!(lock.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(lock.is_locked().unwrap());
            let start = Instant::now();
            let late = lock.lock_timeout(SOON);
            assert!(matches!(late, Err(LockError::Failed(Error::TimedOut))));
            assert!(start.elapsed() >= SOON);
        });
    });
    drop(guard);
    assert!(!lock.is_locked().unwrap());
    let count = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let _guard = lock.lock().unwrap();
                    let seen = count.load(Ordering::Relaxed);
                    thread::yield_now();
                    count.store(seen + 1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(count.into_inner(), 200);
}

#[test]
fn a_thread_that_ends_with_a_lock_is_a_dead_owner() {
    let lock = manager().lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(lock.lock().unwrap()));
    });
    assert!(matches!(lock.lock_timeout(LONG), Err(LockError::OwnerDied(_))));
    assert!(lock.lock().is_ok());
}

#[test]
fn rlock_counts() {
    let lock = manager().rlock().unwrap();
    let guards = [0, 1, 2].map(|_| lock.lock().unwrap());
    for (held, guard) in guards.into_iter().enumerate() {
        thread::scope(|scope| {
            scope.spawn(|| {
                let taken = lock.try_lock();
                assert!(matches!(taken, Err(LockError::Failed(Error::WouldBlock))), "{held}");
            });
        });
        drop(guard);
    }
    thread::scope(|scope| drop(scope.spawn(|| drop(lock.try_lock().unwrap()))));
}

#[test]
fn semaphore_counts_and_bounded_stops() {
    let sem = manager().semaphore(2).unwrap();
    let (a, b) = (sem.acquire().unwrap(), sem.acquire().unwrap());
    assert_eq!(sem.value().unwrap(), 0);
    assert!(matches!(sem.try_acquire(), Err(Error::WouldBlock)));
    let start = Instant::now();
    assert!(matches!(sem.acquire_timeout(SOON), Err(Error::TimedOut)));
    assert!(start.elapsed() >= SOON);
    drop((a, b));
    sem.release(1).unwrap();
    assert_eq!(sem.value().unwrap(), 3, "no bound");
    assert!(matches!(sem.release(u32::MAX), Err(Error::Overflow)));
    assert!(matches!(manager().semaphore(u32::MAX), Err(Error::Overflow)));

    let bounded = manager().bounded_semaphore(2).unwrap();
    let permit = bounded.acquire().unwrap();
    assert!(matches!(bounded.release(1), Err(Error::Overflow)), "its owner still has it");
    permit.forget().unwrap();
    bounded.release(1).unwrap();
    assert!(matches!(bounded.release(1), Err(Error::Overflow)));
    assert_eq!(bounded.value().unwrap(), 2);
}

#[test]
fn event_sets_clears_and_times_out() {
    let event = manager().event().unwrap();
    assert!(!event.is_set().unwrap());
    assert!(matches!(event.wait_timeout(Duration::ZERO), Err(Error::TimedOut)));
    let start = Instant::now();
    assert!(matches!(event.wait_timeout(SOON), Err(Error::TimedOut)));
    assert!(start.elapsed() >= SOON);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| event.wait_timeout(LONG))).collect();
        event.set().unwrap();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap().unwrap());
    });
    event.wait_timeout(Duration::ZERO).unwrap();
    event.clear().unwrap();
    assert!(!event.is_set().unwrap());
}

/// Has `parties` threads sleep on the condition; calls `then` once they do.
fn asleep(
    parties: u32,
    timeout: Duration,
    then: impl FnOnce(&Condition, &AtomicU32),
) -> Vec<Waited> {
    let condition = manager().condition().unwrap();
    let (ready, woken) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        let sleep = || {
            let mut guard = condition.lock().unwrap();
            ready.fetch_add(1, Ordering::SeqCst);
            let waited = guard.wait_timeout(timeout).unwrap();
            woken.fetch_add(1, Ordering::SeqCst);
            waited
        };
        let sleepers: Vec<_> = (0..parties).map(|_| scope.spawn(sleep)).collect();
        until(|| ready.load(Ordering::SeqCst) == parties);
        // Whoever is ready has the lock until it sleeps.
        drop(condition.lock().unwrap());
        then(&condition, &woken);
        sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).collect()
    })
}

#[test]
fn condition_notify_wakes_one_then_the_other() {
    let waited = asleep(2, LONG, |condition, woken| {
        for n in 1..=2 {
            assert!(condition.lock().unwrap().notify_one().unwrap());
            until(|| woken.load(Ordering::SeqCst) == n);
            thread::sleep(SOON);
            assert_eq!(woken.load(Ordering::SeqCst), n);
        }
        assert!(!condition.lock().unwrap().notify_one().unwrap(), "nobody sleeps");
    });
    assert_eq!(waited, [Waited::Notified; 2]);
}

#[test]
fn condition_notify_n_wakes_at_most_n() {
    asleep(6, LONG, |condition, woken| {
        for (n, then) in [(2, 2), (4, 6), (3, 6)] {
            condition.lock().unwrap().notify(n).unwrap();
            until(|| woken.load(Ordering::SeqCst) == then);
        }
    });
}

#[test]
fn condition_sleepers_that_timed_out_are_not_counted() {
    let waited = asleep(3, SOON, |condition, woken| {
        until(|| woken.load(Ordering::SeqCst) == 3);
        assert_eq!(condition.lock().unwrap().notify_all().unwrap(), 0);
    });
    assert_eq!(waited, [Waited::TimedOut; 3]);
}

#[test]
fn condition_wait_gives_up_a_lock_that_is_held_twice() {
    let lock = manager().rlock().unwrap();
    let condition = lock.condition().unwrap();
    thread::scope(|scope| {
        let outer = lock.lock().unwrap();
        let mut guard = condition.lock().unwrap();
        scope.spawn(|| condition.lock().unwrap().notify_all().unwrap());
        assert_eq!(guard.wait_timeout(LONG).unwrap(), Waited::Notified);
        drop(guard);
        assert!(lock.is_locked().unwrap(), "held once more");
        drop(outer);
    });
    assert!(!lock.is_locked().unwrap());
}

#[test]
fn condition_wait_for_says_what_was_so_last() {
    let condition = manager().condition().unwrap();
    let value = manager().value(&0).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..4 {
                let mut guard = condition.lock().unwrap();
                value.update(|n| n + 1).unwrap();
                guard.notify_one().unwrap();
            }
        });
        let mut guard = condition.lock().unwrap();
        guard.wait_for(|| Ok(value.get()? == 4)).unwrap();
    });
    let start = Instant::now();
    let mut guard = condition.lock().unwrap();
    assert!(!guard.wait_for_timeout(SOON, || Ok(false)).unwrap());
    assert!(start.elapsed() >= SOON);
}

/// Has `parties` threads do the same.
fn meet<R: Send>(parties: usize, party: impl Fn() -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let all: Vec<_> = (0..parties).map(|_| scope.spawn(&party)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

fn barrier(parties: usize) -> Barrier {
    manager().barrier(parties).unwrap()
}

#[test]
fn barrier_gives_each_another_number_and_acts_once() {
    let (barrier, acted) = (barrier(5), AtomicU32::new(0));
    for round in 1..=10 {
        let act = || assert_eq!(acted.fetch_add(1, Ordering::SeqCst) + 1, round);
        let mut numbers = meet(5, || {
            let number = barrier.wait_with(act).unwrap();
            assert_eq!(acted.load(Ordering::SeqCst), round, "before anybody goes on");
            number
        });
        numbers.sort();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
    }
    assert_eq!((barrier.parties().unwrap(), barrier.waiting().unwrap()), (5, 0));
}

#[test]
fn barrier_in_lockstep() {
    let (barrier, passed) = (barrier(3), AtomicU32::new(0));
    meet(3, || {
        for round in 0..200 {
            barrier.wait().unwrap();
            let seen = passed.fetch_add(1, Ordering::SeqCst);
            assert!((round * 3..round * 3 + 3).contains(&seen), "{seen} in round {round}");
            barrier.wait().unwrap();
        }
    });
}

#[test]
fn barrier_abort_reset_and_timeout() {
    let b = barrier(3);
    let results = meet(2, || b.wait_timeout(SOON));
    assert!(results.iter().all(Result::is_err));
    assert!(results.iter().any(|result| matches!(result, Err(Error::TimedOut))));
    assert!(b.is_broken().unwrap());
    assert!(matches!(b.wait(), Err(Error::Broken)));
    b.reset().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| b.wait());
        until(|| b.waiting().unwrap() == 1);
        b.reset().unwrap();
        assert!(matches!(waiter.join().unwrap(), Err(Error::Broken)));
        assert!(!b.is_broken().unwrap());
        let waiter = scope.spawn(|| b.wait());
        until(|| b.waiting().unwrap() == 1);
        b.abort().unwrap();
        assert!(matches!(waiter.join().unwrap(), Err(Error::Broken)));
    });
    b.reset().unwrap();
    assert_eq!(meet(3, || b.wait().unwrap()).len(), 3);
    assert!(manager().barrier(0).is_err());
    assert_eq!((0..3).map(|_| barrier(1).wait().unwrap()).sum::<usize>(), 0, "alone");
}

#[test]
fn an_action_that_panics_breaks_the_barrier() {
    let barrier = barrier(2);
    let ends = thread::scope(|scope| {
        let parties = [0, 1].map(|_| scope.spawn(|| barrier.wait_with(|| panic!("the action"))));
        parties.map(|party| party.join())
    });
    assert_eq!(ends.iter().filter(|end| end.is_err()).count(), 1);
    assert!(ends.iter().flatten().all(|end| matches!(end, Err(Error::Broken))));
    assert!(barrier.is_broken().unwrap());
}

#[test]
fn queue_order_bounds_and_times() {
    let queue = manager().queue::<u32>(2).unwrap();
    assert!(queue.is_empty().unwrap());
    queue.extend([1, 2]).unwrap();
    assert!(queue.is_full().unwrap());
    assert!(matches!(queue.try_put(3).unwrap_err().error(), Error::Full));
    let late = queue.put_timeout(3, SOON).unwrap_err();
    assert!(matches!(late.into_parts(), (3, Error::TimedOut)));
    thread::scope(|scope| {
        scope.spawn(|| queue.extend(3..100).unwrap());
        for n in 1..100 {
            assert_eq!(queue.get_timeout(LONG).unwrap(), n);
        }
    });
    assert!(matches!(queue.try_get(), Err(Error::Empty)));
    assert!(matches!(queue.get_timeout(SOON), Err(Error::TimedOut)));
    thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get());
        thread::sleep(SOON);
        queue.close().unwrap();
        assert!(matches!(getter.join().unwrap(), Err(Error::Closed)));
    });
    assert!(matches!(queue.put(1).unwrap_err().error(), Error::Closed));
}
