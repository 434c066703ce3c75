//! Taking from a Queue and a JoinableQueue.

use std::mem;

use mp_ipc::{ByteQueue, Error, Fd, JoinableQueue, Queue};
use mp_tests::Bystander;

use crate::Operation;
use crate::queues::{
    ITEM, Item, RING, big, check, check_zeros, empty_and_check, item, look, queue, zeros,
};
use crate::world::{BRIEFLY, SOON, World, ensure, in_time, say};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new("queue: get, small", || {
        let queue = queue();
        (1..=3).for_each(|nth| queue.put(item(nth)).unwrap());
        World::new(
            queue,
            |queue| assert_eq!(queue.get().unwrap(), item(1)),
            |queue, finished| {
                let first = in_time(SOON, || queue.get_timeout(SOON))?.map_err(say("get"))?;
                let expected = if finished || first == item(2) { item(2) } else { item(1) };
                ensure(first == expected, || format!("got {first:?}"))?;
                if first == item(1) {
                    let second = queue.get_timeout(SOON).map_err(say("get"))?;
                    ensure(second == item(2), || format!("after it {second:?}"))?;
                }
                check(queue, 3, 4, false)
            },
            look,
        )
    }),
    Operation::new("queue: get, empty", || {
        Box::new(World {
            state: queue(),
            act: |queue| assert_eq!(queue.get().unwrap(), item(1)),
            wake: |queue| drop(queue.try_put(item(1))),
            check: |queue, _| empty_and_check(queue),
            paused: |queue| in_time(BRIEFLY, || queue.get_timeout(BRIEFLY)).map(drop),
        })
    }),
    Operation::new("queue: get_many", || {
        let queue = queue();
        queue.put_many((1..=4).map(item)).unwrap();
        World::new(
            queue,
            |queue| assert_eq!(queue.get_many(3).unwrap(), [1, 2, 3].map(item)),
            |queue, finished| {
                // It takes one after the other; those that it has taken go with it.
                let left = queue.len();
                ensure((1..=4).contains(&left), || format!("{left} are left"))?;
                ensure(left == 1 || !finished, || format!("{left} are left in the end"))?;
                check(queue, 5 - left as u64, 4, true)
            },
            look,
        )
    }),
    Operation::new("queue: get with a lease, and acknowledge", || {
        let queue = queue();
        (1..=2).for_each(|nth| queue.put(item(nth)).unwrap());
        World::new(
            queue,
            |queue| assert_eq!(queue.get_lease().unwrap().ack().unwrap(), item(1)),
            |queue, finished| {
                // Acknowledged and gone, or there again, perhaps after what came behind it: never
                // lost before, never twice after.
                let mut left =
                    queue.drain().collect::<Result<Vec<_>, _>>().map_err(say("drain"))?;
                left.sort_unstable_by_key(|item| u64::MAX - item[0]);
                let whole = left == [item(2)] || (left == [item(1), item(2)] && !finished);
                ensure(whole, || format!("left: {left:?}"))?;
                check(queue, 1, 0, false)
            },
            look,
        )
    }),
    Operation::new("joinable queue: get and task_done", || {
        let queue = JoinableQueue::<Item>::new(8).unwrap();
        queue.put(item(1)).unwrap();
        World::new(
            queue,
            |queue| {
                queue.get().unwrap();
                queue.task_done().unwrap();
            },
            |queue, finished| {
                // What a dead consumer had is there again, so that somebody finishes it.
                match in_time(BRIEFLY, || queue.get_timeout(BRIEFLY))? {
                    Ok(again) => {
                        ensure(!finished, || "done, and there again".to_owned())?;
                        ensure(again == item(1), || format!("got {again:?}"))?;
                        queue.task_done().map_err(say("task_done"))?;
                    }
                    Err(Error::TimedOut | Error::Empty) => {}
                    Err(error) => return Err(format!("get: {error}")),
                }
                in_time(SOON, || queue.join_timeout(SOON))?.map_err(say("join"))
            },
            |queue| match in_time(BRIEFLY, || queue.join_timeout(BRIEFLY))? {
                Err(Error::ConsumerDied { .. }) => {
                    Err("a paused consumer was taken for dead".to_owned())
                }
                _ => Ok(()),
            },
        )
    }),
    Operation::new("queue: get, around the end of the ring", || {
        let queue = queue();
        for _ in 0..RING / ITEM - 1 {
            queue.put(item(9)).unwrap();
            queue.get().unwrap();
        }
        (1..=2).for_each(|nth| queue.put(item(nth)).unwrap());
        World::new(
            queue,
            |queue| assert_eq!(queue.get().unwrap(), item(1)),
            |queue, finished| {
                let left = queue.len() as u64;
                ensure(left == 1 || (left == 2 && !finished), || format!("{left} are left"))?;
                check(queue, 3 - left, 2, true)
            },
            look,
        )
    }),
    Operation::new("queue: get, larger than the ring", || {
        let queue = ByteQueue::with_capacity(8, 1).unwrap();
        queue.put(&big(&queue, 3)).unwrap();
        World::new(
            queue,
            |queue| assert_eq!(queue.get().unwrap(), big(queue, 3)),
            |queue, finished| {
                match in_time(BRIEFLY, || queue.get_timeout(BRIEFLY))? {
                    Ok(again) => ensure(again == big(queue, 3) && !finished, || "torn".to_owned())?,
                    Err(Error::TimedOut | Error::Empty) => {}
                    Err(error) => return Err(format!("get: {error}")),
                }
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
    Operation::new("queue: get, with a descriptor", || {
        let queue = Queue::<Fd>::new(4).unwrap();
        (0..2).for_each(|_| queue.put(zeros().into()).unwrap());
        World::new(
            queue,
            |queue| check_zeros(queue.get().unwrap()).unwrap(),
            |queue, finished| {
                let left = queue.len();
                ensure(left == 1 || (left == 2 && !finished), || format!("{left} are left"))?;
                queue.put_timeout(zeros().into(), SOON).map_err(say("put"))?;
                for _ in 0..=left {
                    let fd = in_time(SOON, || queue.get_timeout(SOON))?.map_err(say("get"))?;
                    check_zeros(fd)?;
                }
                ensure(queue.is_empty(), || format!("length {}", queue.len()))
            },
            look,
        )
    }),
    Operation::new("queue: get, its last consumer has died with a lease", || {
        let queue = queue();
        (1..=2).for_each(|nth| queue.put(item(nth)).unwrap());
        drop(Bystander::start(|| mem::forget(queue.get_lease().unwrap())));
        World::new(
            queue,
            |queue| {
                queue.get().unwrap();
            },
            |queue, finished| {
                // One of the two is taken out, at the most: the dead one's item is not lost.
                let count = queue.drain().count();
                ensure(count == 1 || (count == 2 && !finished), || format!("{count} are left"))?;
                check(queue, 1, 0, false)
            },
            |queue| ensure(queue.len() <= 2, || format!("length {}", queue.len())),
        )
    }),
];
