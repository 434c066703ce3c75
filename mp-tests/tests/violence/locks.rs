//! Mutex, RwLock and ReentrantMutex.

use std::cell::Cell;

use mp_sync::{
    LockError, Mutex, MutexGuard, ReentrantMutex, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use crate::Operation;
use crate::world::{BRIEFLY, SOON, World, ensure, in_time};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new("mutex: lock and unlock, free", || {
        World::new(Mutex::new([0, 0]).unwrap(), increment, |lock, _| check(lock), look)
    }),
    Operation::new("mutex: lock and unlock, contended", || {
        let lock: &'static Mutex<Pair> = Box::leak(Box::new(Mutex::new([0, 0]).unwrap()));
        let held = Cell::new(Some(lock.lock().unwrap()));
        Box::new(World {
            state: (lock, held),
            act: |(lock, _)| increment(lock),
            wake: |(_, held): &(&Mutex<Pair>, Held)| drop(held.take()),
            check: |(lock, held), _| {
                drop(held.take());
                check(lock)
            },
            paused: |(lock, held)| {
                drop(held.take());
                look(lock)
            },
        })
    }),
    Operation::new("mutex: try_lock, held by another", || {
        let lock: &'static Mutex<Pair> = Box::leak(Box::new(Mutex::new([0, 0]).unwrap()));
        let held = Cell::new(Some(lock.lock().unwrap()));
        World::new(
            (lock, held),
            |(lock, _)| assert!(lock.try_lock().is_err()),
            |(lock, held): &(&Mutex<Pair>, Held), _| {
                drop(held.take());
                check(lock)
            },
            |_| Ok(()),
        )
    }),
    Operation::new("reentrant mutex: lock twice and unlock twice", || {
        World::new(
            ReentrantMutex::new([0_u64, 0]).unwrap(),
            |lock| {
                let outer = lock.lock().unwrap();
                let inner = lock.lock().unwrap();
                inner.set([1, 0]);
                drop(inner);
                outer.set([1, 1]);
            },
            |lock, _| {
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
                ensure(!lock.is_locked(), || "still locked in the end".to_owned())
            },
            |lock| match in_time(BRIEFLY, || lock.lock_timeout(BRIEFLY))? {
                Ok(guard) => {
                    let pair = guard.get();
                    ensure(pair[0] == pair[1], || format!("taken from a paused holder: {pair:?}"))
                }
                Err(LockError::OwnerDied(_)) => {
                    Err("a paused holder was taken for dead".to_owned())
                }
                Err(LockError::Failed(_)) => Ok(()),
            },
        )
    }),
    Operation::new("rwlock: write and unlock, free", || {
        World::new(RwLock::new([0, 0]).unwrap(), write, |lock, _| check_rw(lock), look_rw)
    }),
    Operation::new("rwlock: read and unlock, free", || {
        World::new(RwLock::new([0, 0]).unwrap(), read, |lock, _| check_rw(lock), look_rw)
    }),
    Operation::new("rwlock: write and unlock, a reader holds it", || {
        let lock: &'static RwLock<Pair> = Box::leak(Box::new(RwLock::new([0, 0]).unwrap()));
        let held = Cell::new(Some(lock.read().unwrap()));
        Box::new(World {
            state: (lock, held),
            act: |(lock, _)| write(lock),
            wake: |(_, held): &(&RwLock<Pair>, HeldRead)| drop(held.take()),
            check: |(lock, held), _| {
                drop(held.take());
                check_rw(lock)
            },
            paused: |(lock, held)| {
                drop(held.take());
                look_rw(lock)
            },
        })
    }),
    Operation::new("rwlock: read and unlock, a writer holds it", || {
        let lock: &'static RwLock<Pair> = Box::leak(Box::new(RwLock::new([0, 0]).unwrap()));
        let held = Cell::new(Some(lock.write().unwrap()));
        Box::new(World {
            state: (lock, held),
            act: |(lock, _)| read(lock),
            wake: |(_, held): &(&RwLock<Pair>, HeldWrite)| drop(held.take()),
            check: |(lock, held), _| {
                drop(held.take());
                check_rw(lock)
            },
            paused: |(lock, held)| {
                drop(held.take());
                look_rw(lock)
            },
        })
    }),
];

/// Both halves are equal whenever nobody is at work.
type Pair = [u64; 2];
type Held = Cell<Option<MutexGuard<'static, Pair>>>;
type HeldRead = Cell<Option<RwLockReadGuard<'static, Pair>>>;
type HeldWrite = Cell<Option<RwLockWriteGuard<'static, Pair>>>;

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
