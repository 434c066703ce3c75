//! The arena, and named memory.

use std::sync::atomic::{AtomicU64, Ordering};

use mp_shm::{Placed, SharedMemory};
use mp_tests::Bystander;

use crate::Operation;
use crate::world::{World, ensure, say};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new("arena: take room", || {
        let before = Placed::<AtomicU64>::zeroed().unwrap();
        before.store(5, Ordering::Relaxed);
        World::new(
            before,
            |_| Placed::<AtomicU64>::zeroed().unwrap().store(9, Ordering::Relaxed),
            |before, _| {
                let after = Placed::<AtomicU64>::zeroed().map_err(say("room"))?;
                ensure(!after.same(before), || "the same room twice".to_owned())?;
                let value = after.load(Ordering::Relaxed);
                ensure(value == 0, || format!("somebody's room, with {value} in it"))?;
                ensure(before.load(Ordering::Relaxed) == 5, || "a neighbour has changed".to_owned())
            },
            |_| Placed::<AtomicU64>::zeroed().map(drop).map_err(say("room")),
        )
    }),
    Operation::new("shared memory: create and unlink", || {
        let name = format!("violence-{}", std::process::id());
        World::new(
            name,
            |name| {
                let memory = SharedMemory::create(Some(name), 100).unwrap();
                memory.unlink().unwrap();
            },
            |name, _| {
                SharedMemory::sweep().map_err(say("sweep"))?;
                ensure(SharedMemory::attach(name).is_err(), || "a dead one's name".to_owned())?;
                let mine = SharedMemory::create(Some(name), 10).map_err(say("create"))?;
                ensure(mine.size() == 10, || format!("size {}", mine.size()))?;
                let other = SharedMemory::attach(name).map_err(say("attach"))?;
                drop(other);
                SharedMemory::attach(name).map(drop).map_err(say("attach after a detach"))
            },
            |name| {
                // A paused creator is not dead: its name stays its own.
                let there = SharedMemory::attach(name).is_ok();
                SharedMemory::sweep().map_err(say("sweep"))?;
                let swept = there && SharedMemory::attach(name).is_err();
                ensure(!swept, || "taken from a paused creator".to_owned())
            },
        )
    }),
    Operation::new("shared memory: sweep of a dead one's name", || {
        let name = format!("violence-dead-{}", std::process::id());
        Bystander::start(|| std::mem::forget(SharedMemory::create(Some(&name), 100).unwrap()));
        World::new(
            name,
            |_| drop(SharedMemory::sweep().unwrap()),
            |name, finished| {
                if !finished {
                    SharedMemory::sweep().map_err(say("sweep"))?;
                }
                ensure(SharedMemory::attach(name).is_err(), || "a dead one's name".to_owned())?;
                SharedMemory::create(Some(name), 10).map(drop).map_err(say("create"))
            },
            |_| SharedMemory::sweep().map(drop).map_err(say("sweep beside a paused one")),
        )
    }),
];
