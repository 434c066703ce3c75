//! Semaphore, Condvar, Event and Barrier.

use std::cell::Cell;
use std::time::Duration;

use mp_sync::{Barrier, Condvar, Error, Event, LockError, Mutex, Permit, Semaphore};

use crate::Operation;
use crate::world::{BRIEFLY, SOON, World, ensure, in_time, say};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new("semaphore: acquire and release, free", || {
        World::new(
            Semaphore::new(2).unwrap(),
            |semaphore| drop(semaphore.acquire().unwrap()),
            |semaphore, _| check_permits(semaphore, 2),
            |semaphore| {
                let mine = in_time(BRIEFLY, || semaphore.acquire_timeout(BRIEFLY))?;
                // One of the two is free, or the paused process stands still inside.
                drop(mine);
                Ok(())
            },
        )
    }),
    Operation::new("semaphore: acquire and release, none left", || {
        let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(1).unwrap()));
        let held = Cell::new(Some(semaphore.acquire().unwrap()));
        Box::new(World {
            state: (semaphore, held),
            act: |(semaphore, _)| drop(semaphore.acquire().unwrap()),
            wake: |(_, held): &(&Semaphore, HeldPermit)| drop(held.take()),
            check: |(semaphore, held), _| {
                drop(held.take());
                check_permits(semaphore, 1)
            },
            paused: |(semaphore, held)| {
                let mine = held.take();
                let result = in_time(BRIEFLY, || semaphore.acquire_timeout(BRIEFLY))?;
                // Once the operation was woken, the permit is the paused process's, or free.
                let extra = mine.is_some() && result.is_ok();
                held.set(mine);
                ensure(!extra, || "a permit out of nothing".to_owned())
            },
        })
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
            act: |shop| {
                let guard = shop.goods.lock().unwrap();
                let mut guard = shop.changed.wait_while(guard, |goods| **goods == 0).unwrap();
                *guard -= 1;
            },
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
    Operation::new("barrier: wait for the other of two", || {
        Box::new(World {
            state: Barrier::new(2).unwrap(),
            act: |barrier| assert!(barrier.wait().is_ok()),
            wake: |barrier| {
                // When the sleeper has been released it is already gone from here.
                if barrier.waiting() > 0 {
                    barrier.wait_timeout(SOON).unwrap();
                }
            },
            check: |barrier, _| {
                match in_time(BRIEFLY, || barrier.wait_timeout(BRIEFLY))? {
                    Ok(_) | Err(Error::Broken | Error::TimedOut) => {}
                    Err(error) => return Err(format!("a survivor: {error}")),
                }
                barrier.reset();
                let waiting = barrier.waiting();
                ensure(waiting == 0, || format!("{waiting} dead are counted"))?;
                ensure(!barrier.is_broken(), || "broken after a reset".to_owned())
            },
            paused: |barrier| ensure(barrier.waiting() <= 1, || "counted twice".to_owned()),
        })
    }),
];

type HeldPermit = Cell<Option<Permit<'static>>>;

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
        if let Ok(mut goods) = self.goods.lock_timeout(BRIEFLY) {
            *goods += 1;
            drop(goods);
            self.changed.notify_all();
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
