//! Semaphore, BoundedSemaphore, Condvar, Event and Barrier.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mp_shm::Placed;
use mp_sync::{Barrier, BoundedSemaphore, Condvar, Error, Event, LockError, Mutex, Semaphore};

use mp_tests::Bystander;

use crate::Operation;
use crate::world::{BRIEFLY, Contended, SOON, Waking, World, ensure, in_time, say};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new("semaphore: acquire and release, free", || {
        World::new(
            (Semaphore::new(1).unwrap(), Placed::zeroed().unwrap()),
            |(semaphore, inside)| {
                let permit = semaphore.acquire().unwrap();
                stay(inside);
                drop(permit);
            },
            |(semaphore, _), _| check_permits(semaphore, 1),
            |(semaphore, inside)| {
                let mine = in_time(BRIEFLY, || semaphore.acquire_timeout(BRIEFLY))?;
                nobody_is(inside, mine.is_ok())
            },
        )
    }),
    Operation::new("semaphore: acquire and release, none left", || {
        Contended::new(
            Semaphore::new(1).unwrap(),
            |semaphore| semaphore.acquire(),
            |semaphore| drop(semaphore.acquire().unwrap()),
            |semaphore| check_permits(semaphore, 1),
            |semaphore| in_time(BRIEFLY, || semaphore.acquire_timeout(BRIEFLY)).map(drop),
        )
    }),
    Operation::new("semaphore: release, another sleeps", || {
        Waking::new(
            Semaphore::new(1).unwrap(),
            |semaphore, gate| {
                let _permit = semaphore.acquire().unwrap();
                gate.pass();
            },
            |semaphore| drop(semaphore.acquire().unwrap()),
            |_| (),
            |semaphore| check_permits(semaphore, 1),
        )
    }),
    Operation::new("semaphore: acquire and release, its owner has died", || {
        let semaphore = Semaphore::new(1).unwrap();
        drop(Bystander::start(|| mem::forget(semaphore.acquire().unwrap())));
        World::new(
            semaphore,
            |semaphore| drop(semaphore.acquire().unwrap()),
            |semaphore, _| check_permits(semaphore, 1),
            |semaphore| in_time(BRIEFLY, || semaphore.acquire_timeout(BRIEFLY)).map(drop),
        )
    }),
    Operation::new("bounded semaphore: acquire and release, free", || {
        World::new(
            (BoundedSemaphore::new(1).unwrap(), Placed::zeroed().unwrap()),
            |(semaphore, inside)| {
                let permit = semaphore.acquire().unwrap();
                stay(inside);
                drop(permit);
            },
            |(semaphore, _), _| check_bounded(semaphore),
            |(semaphore, inside)| {
                let mine = in_time(BRIEFLY, || semaphore.acquire_timeout(BRIEFLY))?;
                nobody_is(inside, mine.is_ok())
            },
        )
    }),
    Operation::new("bounded semaphore: acquire and release, none left", || {
        Contended::new(
            BoundedSemaphore::new(1).unwrap(),
            |semaphore| semaphore.acquire(),
            |semaphore| drop(semaphore.acquire().unwrap()),
            check_bounded,
            |semaphore| in_time(BRIEFLY, || semaphore.acquire_timeout(BRIEFLY)).map(drop),
        )
    }),
    Operation::new("semaphore: release of one more", || {
        World::new(
            Semaphore::new(0).unwrap(),
            |semaphore| semaphore.release(1).unwrap(),
            |semaphore, finished| {
                let value = semaphore.value();
                ensure(value == 1 || (value == 0 && !finished), || format!("value {value}"))?;
                check_permits(semaphore, value)
            },
            |semaphore| ensure(semaphore.value() <= 1, || "released twice".to_owned()),
        )
    }),
    Operation::new("condvar: wait for a change", || {
        Box::new(World {
            state: Shop::new(),
            act: |shop| shop.buy(),
            wake: |shop| shop.deliver(),
            check: |shop, _| shop.check(),
            paused: |shop| {
                drop(in_time(BRIEFLY, || shop.goods.lock_timeout(BRIEFLY))?);
                Ok(())
            },
        })
    }),
    Operation::new("condvar: change and notify", || {
        World::new(
            Shop::new(),
            |shop| {
                *shop.goods.lock().unwrap() += 1;
                shop.changed.notify_all();
            },
            |shop, _| shop.check(),
            |shop| {
                drop(in_time(BRIEFLY, || shop.goods.lock_timeout(BRIEFLY))?);
                Ok(())
            },
        )
    }),
    Operation::new("condvar: notify, another sleeps", || {
        Waking::new(
            Shop::new(),
            |shop, gate| {
                gate.pass();
                shop.deliver();
            },
            |shop| shop.buy(),
            |shop| shop.deliver(),
            |shop| shop.check(),
        )
    }),
    Operation::new("event: set", || {
        World::new(
            Event::new().unwrap(),
            |event| event.set(),
            |event, finished| {
                let seen = in_time(BRIEFLY, || event.wait_timeout(BRIEFLY))?;
                ensure(seen.is_ok() == event.is_set(), || "is_set and wait differ".to_owned())?;
                ensure(seen.is_ok() || !finished, || "set in vain".to_owned())?;
                check_event(event)
            },
            |event| in_time(BRIEFLY, || event.wait_timeout(BRIEFLY)).map(drop),
        )
    }),
    Operation::new("event: wait", || {
        Box::new(World {
            state: Event::new().unwrap(),
            act: |event| event.wait().unwrap(),
            wake: |event| event.set(),
            check: |event, _| check_event(event),
            paused: |event| in_time(BRIEFLY, || event.wait_timeout(BRIEFLY)).map(drop),
        })
    }),
    Operation::new("event: set, another sleeps", || {
        Waking::new(
            Event::new().unwrap(),
            |event, gate| {
                gate.pass();
                event.set();
            },
            |event| event.wait().unwrap(),
            // Once it is set, nobody sets it again.
            |event| {
                if !event.is_set() {
                    event.set();
                }
            },
            check_event,
        )
    }),
    Operation::new("barrier: wait for the other of two", || {
        Box::new(World {
            state: Barrier::new(2).unwrap(),
            act: wait_at,
            wake: |barrier| {
                // When the sleeper has been released it is already gone from here.
                if barrier.waiting() > 0 {
                    barrier.wait_timeout(SOON).unwrap();
                }
            },
            check: |barrier, _| check_barrier(barrier),
            paused: |barrier| {
                ensure(barrier.waiting() <= 1, || "one party counts twice".to_owned())?;
                // Both are there; or the paused one keeps the barrier to itself for now.
                in_time(BRIEFLY, || barrier.wait_timeout(BRIEFLY)).map(drop)
            },
        })
    }),
    Operation::new("barrier: wait, the other of two sleeps", || {
        Waking::new(
            Barrier::new(2).unwrap(),
            |barrier, gate| {
                gate.pass();
                wait_at(barrier);
            },
            wait_at,
            |barrier| {
                let _ = barrier.wait_timeout(BRIEFLY);
            },
            check_barrier,
        )
    }),
    Operation::new("barrier: wait, the other of two has died there", || {
        let barrier = Barrier::new(2).unwrap();
        drop(Bystander::start(|| wait_at(&barrier)));
        World::new(
            barrier,
            wait_at,
            |barrier, _| check_barrier(barrier),
            |barrier| {
                let met = in_time(BRIEFLY, || barrier.wait_timeout(BRIEFLY))?;
                ensure(met.is_err(), || "it met a dead one".to_owned())
            },
        )
    }),
];

type Inside = Placed<AtomicU64>;

/// With a permit: lets the others see that it is in use.
fn stay(inside: &Inside) {
    inside.store(1, Ordering::Release);
    inside.store(0, Ordering::Release);
}

/// With the only permit, in `mine`: nobody else has it.
fn nobody_is(inside: &Inside, mine: bool) -> Result<(), String> {
    let beside = mine && inside.load(Ordering::Acquire) == 1;
    ensure(!beside, || "taken from a paused owner".to_owned())
}

/// All `count` permits can be had, and not one more.
fn check_permits(semaphore: &Semaphore, count: u32) -> Result<(), String> {
    let permits = (0..count).map(|nth| {
        let permit = in_time(SOON, || semaphore.acquire_timeout(SOON))?;
        permit.map_err(say(&format!("permit {nth} of {count} did not come back")))
    });
    let permits: Vec<_> = permits.collect::<Result<_, _>>()?;
    ensure(semaphore.try_acquire().is_err(), || "one permit too many".to_owned())?;
    drop(permits);
    ensure(semaphore.value() == count, || format!("value {}", semaphore.value()))
}

fn check_bounded(semaphore: &BoundedSemaphore) -> Result<(), String> {
    let permit = in_time(SOON, || semaphore.acquire_timeout(SOON))?;
    let permit = permit.map_err(say("the permit did not come back"))?;
    ensure(semaphore.try_acquire().is_err(), || "one permit too many".to_owned())?;
    drop(permit);
    ensure(semaphore.value() == 1, || format!("value {}", semaphore.value()))?;
    ensure(semaphore.release(1).is_err(), || "released beyond the bound".to_owned())
}

/// The other party comes, or it breaks: nobody stays here for ever.
fn wait_at(barrier: &Barrier) {
    assert!(matches!(barrier.wait(), Ok(_) | Err(Error::Broken)));
}

/// A survivor waits no longer than it wants to, and a reset makes it as before.
fn check_barrier(barrier: &Barrier) -> Result<(), String> {
    match in_time(BRIEFLY, || barrier.wait_timeout(BRIEFLY))? {
        Ok(_) | Err(Error::Broken | Error::TimedOut) => {}
        Err(error) => return Err(format!("a survivor: {error}")),
    }
    barrier.reset();
    let waiting = barrier.waiting();
    ensure(waiting == 0, || format!("{waiting} dead are counted"))?;
    ensure(!barrier.is_broken(), || "broken after a reset".to_owned())
}

fn check_event(event: &Event) -> Result<(), String> {
    event.clear();
    ensure(!event.is_set(), || "not cleared".to_owned())?;
    let seen = in_time(BRIEFLY, || event.wait_timeout(BRIEFLY))?;
    ensure(seen == Err(Error::TimedOut), || "woken by nobody".to_owned())?;
    in_time(Duration::ZERO, || event.set())?;
    event.wait_timeout(SOON).map_err(say("set in vain"))
}

struct Shop {
    goods: Mutex<u64>,
    changed: Condvar,
}

impl Shop {
    fn new() -> Shop {
        Shop { goods: Mutex::new(0).unwrap(), changed: Condvar::new().unwrap() }
    }

    fn deliver(&self) {
        if let Ok(mut goods) | Err(LockError::OwnerDied(mut goods)) =
            self.goods.lock_timeout(BRIEFLY)
        {
            *goods += 1;
            drop(goods);
            self.changed.notify_all();
        }
    }

    fn buy(&self) {
        let goods = match self.goods.lock() {
            Ok(goods) | Err(LockError::OwnerDied(goods)) => goods,
            Err(LockError::Failed(error)) => panic!("{error}"),
        };
        match self.changed.wait_while(goods, |goods| **goods == 0) {
            Ok(mut goods) | Err(LockError::OwnerDied(mut goods)) => *goods -= 1,
            Err(LockError::Failed(error)) => panic!("{error}"),
        }
    }

    /// Notifying needs nobody, the lock is free, and a wait ends at its deadline.
    fn check(&self) -> Result<(), String> {
        in_time(Duration::ZERO, || self.changed.notify_all())?;
        let guard = match in_time(SOON, || self.goods.lock_timeout(SOON))? {
            Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
            Err(LockError::Failed(error)) => return Err(format!("blocked: {error}")),
        };
        let waited = in_time(BRIEFLY, || {
            self.changed.wait_timeout_while(guard, BRIEFLY, |goods| {
                **goods = 1;
                false
            })
        })?;
        waited.map(drop).map_err(say("waiting"))
    }
}
