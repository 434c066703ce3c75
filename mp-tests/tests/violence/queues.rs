//! Putting into a Queue and a JoinableQueue, and what wakes their sleepers.

use std::fs::File;
use std::io::Read;

use mp_ipc::{ByteQueue, Error, Fd, JoinableQueue, Queue};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Operation;
use crate::world::{BRIEFLY, SOON, Waking, World, ensure, in_time, say};

/// The ring of the small queues, in bytes: not a multiple of an item.
pub(crate) const RING: usize = 4096;
/// What an [`item`] takes: a header, and four numbers of ten bytes each.
pub(crate) const ITEM: usize = 48;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new("queue: put, small", || {
        let queue = queue();
        queue.put(item(1)).unwrap();
        World::new(
            queue,
            |queue| queue.put(item(2)).unwrap(),
            |queue, finished| check(queue, 1, 2, finished),
            look,
        )
    }),
    Operation::new("queue: put, around the end of the ring", || {
        let queue = queue();
        // One place is left before the end, too short for a whole item.
        for _ in 0..RING / ITEM - 1 {
            queue.put(item(9)).unwrap();
            queue.get().unwrap();
        }
        queue.put(item(1)).unwrap();
        World::new(
            queue,
            |queue| queue.put(item(2)).unwrap(),
            |queue, finished| check(queue, 1, 2, finished),
            look,
        )
    }),
    Operation::new("queue: put, larger than the ring", || {
        let queue = ByteQueue::with_capacity(8, 1).unwrap();
        World::new(
            queue,
            |queue| queue.put(&big(queue, 3)).unwrap(),
            |queue, finished| {
                let got = match in_time(BRIEFLY, || queue.get_timeout(BRIEFLY))? {
                    Ok(item) => Some(item),
                    Err(Error::TimedOut | Error::Empty) => None,
                    Err(error) => return Err(format!("get: {error}")),
                };
                ensure(got.is_some() || !finished, || "a committed item is lost".to_owned())?;
                ensure(got.is_none_or(|item| item == big(queue, 3)), || "torn".to_owned())?;
                queue.put_timeout(&big(queue, 4), SOON).map_err(say("put"))?;
                let item = queue.get_timeout(SOON).map_err(say("get"))?;
                ensure(item == big(queue, 4), || "torn afterwards".to_owned())
            },
            |queue| {
                let len = in_time(BRIEFLY, || queue.len())?;
                ensure(len <= 1, || format!("length {len}"))
            },
        )
    }),
    Operation::new("queue: put, with a descriptor", || {
        World::new(
            Queue::<Fd>::new(4).unwrap(),
            |queue| queue.put(zeros().into()).unwrap(),
            |queue, finished| {
                match in_time(BRIEFLY, || queue.get_timeout(BRIEFLY))? {
                    Ok(fd) => check_zeros(fd)?,
                    Err(_) if !finished => {}
                    Err(error) => return Err(format!("a committed item is lost: {error}")),
                }
                for _ in 0..2 {
                    let fd = zeros().into();
                    queue.put_timeout(fd, SOON).map_err(say("put"))?;
                    check_zeros(queue.get_timeout(SOON).map_err(say("get"))?)?;
                }
                Ok(())
            },
            look,
        )
    }),
    Operation::new("queue: put, full", || {
        let queue = Queue::<Item>::with_capacity(1, RING).unwrap();
        queue.put(item(1)).unwrap();
        Box::new(World {
            state: queue,
            act: |queue| queue.put(item(2)).unwrap(),
            wake: |queue| drop(queue.try_get()),
            check: |queue, _| empty_and_check(queue),
            paused: |queue| ensure(queue.len() <= 1, || "more than it holds".to_owned()),
        })
    }),
    Operation::new("queue: put_many, around the end of the ring", || {
        let queue = queue();
        for _ in 0..RING / ITEM - 2 {
            queue.put(item(9)).unwrap();
            queue.get().unwrap();
        }
        queue.put(item(1)).unwrap();
        World::new(
            queue,
            |queue| queue.put_many((2..=5).map(item)).unwrap(),
            |queue, finished| {
                // One commit for all: none of them is there, or each.
                ensure([1, 5].contains(&queue.len()), || format!("{} are there", queue.len()))?;
                check(queue, 1, 5, finished)
            },
            look,
        )
    }),
    Operation::new("joinable queue: put", || {
        World::new(
            JoinableQueue::<Item>::new(8).unwrap(),
            |queue| queue.put(item(1)).unwrap(),
            |queue, finished| {
                let put = queue.len();
                ensure(put == 1 || (put == 0 && !finished), || format!("length {put}"))?;
                if put == 1 {
                    ensure(queue.unfinished() == 1, || "it does not count".to_owned())?;
                    let got = queue.get_timeout(SOON).map_err(say("get"))?;
                    ensure(got == item(1), || format!("got {got:?}"))?;
                    queue.task_done().map_err(say("task_done"))?;
                }
                in_time(SOON, || queue.join_timeout(SOON))?.map_err(say("join"))
            },
            |queue| ensure(queue.len() <= 1, || format!("length {}", queue.len())),
        )
    }),
    Operation::new("queue: put, another sleeps in get", || {
        Waking::new(
            queue(),
            |queue, gate| {
                gate.pass();
                queue.put(item(1)).unwrap();
            },
            |queue| assert_eq!(queue.get().unwrap(), item(1)),
            |queue| {
                if queue.is_empty() {
                    queue.try_put(item(1)).unwrap();
                }
            },
            empty_and_check,
        )
    }),
    Operation::new("queue: get, another sleeps in put", || {
        let queue = Queue::with_capacity(1, RING).unwrap();
        queue.put(item(1)).unwrap();
        Waking::new(
            queue,
            |queue, gate| {
                gate.pass();
                queue.get().unwrap();
            },
            |queue| queue.put(item(2)).unwrap(),
            // Whichever of the two it is that is there.
            |queue| drop(queue.try_get()),
            empty_and_check,
        )
    }),
    Operation::new("queue: close, another sleeps in get", || {
        Waking::new(
            queue(),
            |queue, gate| {
                gate.pass();
                queue.close();
            },
            |queue| assert!(matches!(queue.get(), Err(Error::Closed))),
            |queue| {
                if !queue.is_closed() {
                    queue.close();
                }
            },
            |queue| ensure(queue.put(item(1)).is_err(), || "open again".to_owned()),
        )
    }),
    Operation::new("joinable queue: task_done, another sleeps in join", || {
        let queue = JoinableQueue::<Item>::new(8).unwrap();
        queue.put(item(1)).unwrap();
        Waking::new(
            queue,
            |queue, gate| {
                queue.get().unwrap();
                gate.pass();
                queue.task_done().unwrap();
            },
            |queue| {
                assert!(matches!(queue.join(), Ok(()) | Err(Error::ConsumerDied { .. })));
            },
            |queue| {
                if queue.try_get().is_ok() {
                    queue.task_done().unwrap();
                }
            },
            |queue| ensure(queue.unfinished() == 0, || "something is undone".to_owned()),
        )
    }),
];

/// Numbered, and torn if its words differ.
pub(crate) type Item = [u64; 4];

pub(crate) fn item(nth: u64) -> Item {
    [u64::MAX - nth; 4]
}

/// More than the ring of `queue` has room for.
pub(crate) fn big(queue: &ByteQueue, byte: u8) -> Vec<u8> {
    vec![byte; queue.capacity() + 1]
}

pub(crate) fn queue() -> Queue<Item> {
    Queue::with_capacity(64, RING).unwrap()
}

/// The items from `first` on are there in order, the last one at least if `finished`; nothing is
/// torn; and the queue still works.
pub(crate) fn check(
    queue: &Queue<Item>,
    first: u64,
    last: u64,
    finished: bool,
) -> Result<(), String> {
    let items: Vec<Item> = queue.drain().collect::<Result<_, _>>().map_err(say("drain"))?;
    let whole = items.iter().zip(first..).all(|(got, nth)| *got == item(nth));
    let complete = !finished || items.len() as u64 == last + 1 - first;
    ensure(whole && complete && items.len() as u64 <= last + 1 - first, || {
        format!("left: {items:?}")
    })?;
    ensure(queue.is_empty(), || format!("length {}", queue.len()))?;
    for nth in 0..3 {
        in_time(SOON, || queue.put_timeout(item(nth), SOON))?.map_err(say("put"))?;
        ensure(queue.len() == 1, || format!("length {} after a put", queue.len()))?;
        let got = in_time(SOON, || queue.get_timeout(SOON))?.map_err(say("get"))?;
        ensure(got == item(nth), || format!("got {got:?} for {nth}"))?;
    }
    Ok(())
}

/// Whatever is left, the queue still works.
pub(crate) fn empty_and_check(queue: &Queue<Item>) -> Result<(), String> {
    let _ = queue.drain().count();
    check(queue, 1, 0, false)
}

/// A consumer meets its deadline, and gets nothing that a paused one has. What it gets it gives
/// back.
pub(crate) fn look<T: Serialize + DeserializeOwned>(queue: &Queue<T>) -> Result<(), String> {
    ensure(queue.len() <= 64, || format!("length {}", queue.len()))?;
    let lease = in_time(BRIEFLY, || queue.get_lease_timeout(BRIEFLY))?;
    let taken = lease.is_ok_and(|lease| lease.is_redelivered());
    ensure(!taken, || "taken from a paused consumer".to_owned())
}

pub(crate) fn zeros() -> File {
    File::open("/dev/zero").unwrap()
}

pub(crate) fn check_zeros(fd: Fd) -> Result<(), String> {
    let mut bytes = [1; 4];
    let mut file = File::from(fd.0);
    file.read_exact(&mut bytes).map_err(say("reading from the descriptor"))?;
    ensure(bytes == [0; 4], || "another descriptor".to_owned())
}
