//! Mutex, RwLock and ReentrantMutex.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mp_shm::Placed;
use mp_sync::{Error, LockError, Mutex, ReentrantMutex, RwLock};
use mp_tests::Bystander;

use crate::Operation;
use crate::world::{BRIEFLY, Contended, SOON, Waking, World, ensure, in_time};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new("mutex: lock and unlock, free", || {
        World::new(mutex(), increment, |lock, _| check(lock), look)
    }),
    Operation::new("mutex: lock and unlock, contended", || {
        Contended::new(mutex(), |lock| lock.lock(), increment, check, look)
    }),
    Operation::new("mutex: try_lock, held by another", || {
        Contended::new(mutex(), |lock| lock.lock(), |lock| drop(lock.try_lock()), check, look)
    }),
    Operation::new("mutex: unlock, another sleeps", || {
        Waking::new(
            mutex(),
            |lock, gate| {
                let _guard = lock.lock();
                gate.pass();
            },
            |lock| drop(lock.lock()),
            |_| (),
            check,
        )
    }),
    Operation::new("mutex: lock and unlock, its holder has died", || {
        let lock = mutex();
        drop(Bystander::start(|| {
            let mut pair = lock.lock().unwrap();
            pair[0] = 1;
            mem::forget(pair);
        }));
        World::new(
            (lock, Placed::zeroed().unwrap()),
            |world| recover(world, SOON),
            |(lock, told), finished| {
                let told = told.load(Ordering::Relaxed);
                ensure(told == 1 || !finished, || format!("told {told} times of one death"))?;
                check(lock)
            },
            |world| in_time(BRIEFLY, || recover(world, BRIEFLY)),
        )
    }),
    Operation::new("reentrant mutex: lock twice and unlock twice", || {
        World::new(reentrant(), increment_twice, |lock, _| check_reentrant(lock), look_reentrant)
    }),
    Operation::new("reentrant mutex: lock twice and unlock twice, contended", || {
        Contended::new(
            reentrant(),
            |lock| lock.lock(),
            increment_twice,
            check_reentrant,
            look_reentrant,
        )
    }),
    Operation::new("reentrant mutex: unlock, another sleeps", || {
        Waking::new(
            reentrant(),
            |lock, gate| {
                let _guard = lock.lock();
                gate.pass();
            },
            |lock| drop(lock.lock()),
            |_| (),
            check_reentrant,
        )
    }),
    Operation::new("rwlock: write and unlock, free", || {
        World::new(rwlock(), write, |lock, _| check_rw(lock), look_rw)
    }),
    Operation::new("rwlock: read and unlock, free", || {
        World::new(rwlock(), read, |lock, _| check_rw(lock), look_rw)
    }),
    Operation::new("rwlock: write and unlock, a reader holds it", || {
        Contended::new(rwlock(), |lock| lock.read(), write, check_rw, look_rw)
    }),
    Operation::new("rwlock: write and unlock, a writer holds it", || {
        Contended::new(rwlock(), |lock| lock.write(), write, check_rw, look_rw)
    }),
    Operation::new("rwlock: read and unlock, a writer holds it", || {
        Contended::new(rwlock(), |lock| lock.write(), read, check_rw, look_rw)
    }),
    Operation::new("rwlock: unlock after a write, a reader sleeps", || {
        Waking::new(
            rwlock(),
            |lock, gate| {
                let _guard = lock.write();
                gate.pass();
            },
            |lock| drop(lock.read()),
            |_| (),
            check_rw,
        )
    }),
    Operation::new("rwlock: unlock after a read, a writer sleeps", || {
        Waking::new(
            rwlock(),
            |lock, gate| {
                let _guard = lock.read();
                gate.pass();
            },
            |lock| drop(lock.write()),
            |_| (),
            check_rw,
        )
    }),
];

/// Both halves are equal whenever nobody is at work.
type Pair = [u64; 2];

fn mutex() -> Mutex<Pair> {
    Mutex::new([0, 0]).unwrap()
}

fn reentrant() -> ReentrantMutex<Pair> {
    ReentrantMutex::new([0, 0]).unwrap()
}

fn rwlock() -> RwLock<Pair> {
    RwLock::new([0, 0]).unwrap()
}

fn increment(lock: &Mutex<Pair>) {
    let mut pair = lock.lock().unwrap();
    pair[0] += 1;
    pair[1] += 1;
}

/// Takes the lock, whether or not its holder died, and checks that only a death left halves.
fn check(lock: &Mutex<Pair>) -> Result<(), String> {
    let mut pair = match in_time(SOON, || lock.lock_timeout(SOON))? {
        Ok(pair) if pair[0] != pair[1] => return Err(format!("torn in silence: {:?}", *pair)),
        Ok(pair) | Err(LockError::OwnerDied(pair)) => pair,
        Err(LockError::Failed(error)) => return Err(format!("blocked: {error}")),
    };
    *pair = [7, 7];
    drop(pair);
    lock.try_lock().map(drop).map_err(|error| format!("the second survivor: {error}"))
}

fn look(lock: &Mutex<Pair>) -> Result<(), String> {
    match in_time(BRIEFLY, || lock.lock_timeout(BRIEFLY))? {
        Ok(pair) => {
            ensure(pair[0] == pair[1], || format!("taken from a paused holder: {:?}", *pair))
        }
        Err(LockError::OwnerDied(_)) => Err("a paused holder was taken for dead".to_owned()),
        Err(LockError::Failed(_)) => Ok(()),
    }
}

/// Takes the lock, or not in time; who is told that its holder died mends it, and nobody else.
fn recover((lock, told): &(Mutex<Pair>, Placed<AtomicU64>), patience: Duration) {
    match lock.lock_timeout(patience) {
        Ok(pair) => assert_eq!(pair[0], pair[1], "torn in silence"),
        Err(LockError::OwnerDied(mut pair)) => {
            told.fetch_add(1, Ordering::Relaxed);
            *pair = [3, 3];
        }
        Err(LockError::Failed(error)) => assert_eq!(error, Error::TimedOut),
    }
}

fn increment_twice(lock: &ReentrantMutex<Pair>) {
    let outer = lock.lock().unwrap();
    let inner = lock.lock().unwrap();
    inner.set([1, 0]);
    drop(inner);
    outer.set([1, 1]);
}

fn check_reentrant(lock: &ReentrantMutex<Pair>) -> Result<(), String> {
    let guard = match in_time(SOON, || lock.lock_timeout(SOON))? {
        Ok(guard) => {
            let pair = guard.get();
            ensure(pair[0] == pair[1], || format!("torn in silence: {pair:?}"))?;
            guard
        }
        Err(LockError::OwnerDied(guard)) => guard,
        Err(LockError::Failed(error)) => return Err(format!("blocked: {error}")),
    };
    ensure(guard.count() == 1, || format!("inherited a count of {}", guard.count()))?;
    guard.set([7, 7]);
    let again = lock.try_lock().map_err(|error| format!("recursion: {error}"))?;
    ensure(again.count() == 2, || "the second lock does not count".to_owned())?;
    drop((again, guard));
    lock.try_lock().map(drop).map_err(|error| format!("the second survivor: {error}"))
}

fn look_reentrant(lock: &ReentrantMutex<Pair>) -> Result<(), String> {
    match in_time(BRIEFLY, || lock.lock_timeout(BRIEFLY))? {
        Ok(guard) => {
            let pair = guard.get();
            ensure(pair[0] == pair[1], || format!("taken from a paused holder: {pair:?}"))
        }
        Err(LockError::OwnerDied(_)) => Err("a paused holder was taken for dead".to_owned()),
        Err(LockError::Failed(_)) => Ok(()),
    }
}

fn write(lock: &RwLock<Pair>) {
    let mut pair = lock.write().unwrap();
    pair[0] += 1;
    pair[1] += 1;
}

fn read(lock: &RwLock<Pair>) {
    let pair = lock.read().unwrap();
    assert_eq!(pair[0], pair[1]);
}

/// The next writer is told of a death, and then all is as before, for readers too.
fn check_rw(lock: &RwLock<Pair>) -> Result<(), String> {
    match in_time(SOON, || lock.write_timeout(SOON))? {
        Ok(pair) => ensure(pair[0] == pair[1], || format!("torn in silence: {:?}", *pair))?,
        Err(LockError::OwnerDied(mut pair)) => *pair = [7, 7],
        Err(LockError::Failed(error)) => return Err(format!("a writer is blocked: {error}")),
    }
    for _ in 0..2 {
        match lock.try_read() {
            Ok(pair) => ensure(pair[0] == pair[1], || "torn for readers".to_owned())?,
            Err(error) => return Err(format!("a reader is blocked: {error}")),
        }
    }
    ensure(!lock.is_locked(), || "still locked in the end".to_owned())
}

fn look_rw(lock: &RwLock<Pair>) -> Result<(), String> {
    match in_time(BRIEFLY, || lock.write_timeout(BRIEFLY))? {
        Ok(pair) => ensure(pair[0] == pair[1], || "a writer beside a paused writer".to_owned())?,
        Err(LockError::OwnerDied(_)) => return Err("a paused writer was taken for dead".to_owned()),
        Err(LockError::Failed(_)) => {}
    }
    match in_time(BRIEFLY, || lock.read_timeout(BRIEFLY))? {
        Ok(pair) => ensure(pair[0] == pair[1], || "a reader beside a paused writer".to_owned()),
        Err(LockError::OwnerDied(_)) => Err("a paused writer was taken for dead".to_owned()),
        Err(LockError::Failed(_)) => Ok(()),
    }
}
