//! Queues between processes.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_ipc::{Connection, Error, JoinableQueue, Queue, pipe};
use serde_bytes::ByteBuf;

use crate::chance::nap;
use crate::child::Child;
use crate::trial;

const LONG: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_queue_reaches_a_child_and_back", a_queue_reaches_a_child_and_back),
        trial("what_put_returned_from_is_there", what_put_returned_from_is_there),
        trial("what_a_dead_producer_put_is_there", what_a_dead_producer_put_is_there),
        trial("closing_wakes_other_processes", closing_wakes_other_processes),
        trial("a_dead_consumers_lease_comes_back", a_dead_consumers_lease_comes_back),
        trial("who_only_looks_finds_a_dead_consumers_lease", who_only_looks_finds_a_lease),
        trial("a_closed_queue_waits_for_what_others_hold", a_closed_queue_waits),
        trial("the_last_ack_ends_a_closed_queue", the_last_ack_ends_a_closed_queue),
        trial("holders_do_not_wait_for_one_another", holders_do_not_wait_for_one_another),
        trial("join_reports_a_dead_consumer", join_reports_a_dead_consumer),
        trial("join_ends_if_another_consumer_takes_over", join_ends),
    ]
}

fn a_queue_reaches_a_child_and_back() {
    let there = Queue::<(u64, Queue<u64>)>::new(4).unwrap();
    let child = Child::run(|| {
        for item in &there {
            let (number, back) = item.unwrap();
            back.put(number * number).unwrap();
        }
    });
    let back = Queue::new(0).unwrap();
    for number in 0..1_000 {
        there.put((number, back.clone())).unwrap();
        assert_eq!(back.get_timeout(LONG).unwrap(), number * number);
    }
    there.close();
    child.succeed();
}

/// Python's queues say "empty" right after a put: <https://github.com/python/cpython/issues/87302>.
fn what_put_returned_from_is_there() {
    let queue = Queue::new(8).unwrap();
    let noise = Queue::<u32>::new(1).unwrap();
    let children: Vec<_> = (0..3)
        .map(|_| Child::run(|| while noise.put(1).is_ok() && noise.get_timeout(LONG).is_ok() {}))
        .collect();
    for round in 0..50_000 {
        queue.put(round).unwrap();
        assert!(queue.len() == 1 && !queue.is_empty() && !queue.is_full());
        assert_eq!(queue.try_get().unwrap(), round);
        assert!(queue.is_empty());
    }
    noise.close();
    children.into_iter().for_each(Child::succeed);
}

/// Python's producer cannot end before its items are taken: <https://github.com/python/cpython/issues/78321>.
fn what_a_dead_producer_put_is_there() {
    let queue = Queue::<ByteBuf>::new(0).unwrap();
    let producer = Child::run(|| {
        queue.put(vec![1; 1 << 20].into()).unwrap();
        queue.put(vec![2; 100 << 20].into()).unwrap();
    });
    producer.succeed();
    assert!(queue.get().unwrap().iter().all(|byte| *byte == 1));
    let long = queue.get().unwrap();
    assert!(long.len() == 100 << 20 && long.iter().all(|byte| *byte == 2));
}

fn closing_wakes_other_processes() {
    let empty = Queue::<u32>::new(1).unwrap();
    let full = Queue::new(1).unwrap();
    full.put(1).unwrap();
    let mut children = Vec::new();
    for _ in 0..2 {
        children.push(Child::run(|| assert!(matches!(empty.get(), Err(Error::Closed)))));
        children.push(Child::run(|| {
            assert!(matches!(full.put(2).unwrap_err().error(), Error::Closed));
        }));
    }
    std::thread::sleep(Duration::from_millis(20));
    let begin = Instant::now();
    empty.close();
    full.close();
    children.into_iter().for_each(Child::succeed);
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(full.get().unwrap(), 1);
}

fn a_dead_consumers_lease_comes_back() {
    let queue = Queue::new(0).unwrap();
    (0..3).for_each(|n| queue.put(n).unwrap());
    let (here, there) = pipe::<u32, u32>().unwrap();
    let consumer = Child::run(|| {
        let first = queue.get_lease().unwrap();
        let second = queue.get_lease().unwrap();
        there.send(&(*first + *second)).unwrap();
        let _: u32 = there.recv().unwrap();
    });
    assert_eq!(here.recv().unwrap(), 1);
    let third = queue.get_lease().unwrap();
    assert_eq!((*third, queue.len()), (2, 0));
    consumer.kill();
    consumer.join();
    for n in 0..2 {
        let again = queue.get_lease_timeout(LONG).unwrap();
        assert!(again.is_redelivered());
        assert_eq!(again.ack().unwrap(), n);
    }
    third.ack().unwrap();
    assert!(matches!(queue.try_get(), Err(Error::Empty)));
}

/// A consumer that never waits for long is told of a death, too.
fn who_only_looks_finds_a_lease() {
    let queue = Queue::new(0).unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        queue.put(7).unwrap();
        Child::run(|| std::mem::forget(queue.get_lease().unwrap())).succeed();
        let again = queue.get_lease_timeout(timeout).unwrap();
        assert!(again.is_redelivered());
        assert_eq!(again.ack().unwrap(), 7);
    }
    queue.put(8).unwrap();
    Child::run(|| std::mem::forget(queue.get_lease().unwrap())).succeed();
    assert_eq!(queue.try_get().unwrap(), 8);
}

/// Starts a process that holds the queue's one item until it is told to end, one way or another.
fn holder(queue: &Queue<u32>) -> (Child, Connection<bool>) {
    let (here, there) = pipe::<bool, bool>().unwrap();
    let child = Child::run(|| {
        let lease = queue.get_lease().unwrap();
        there.send(&true).unwrap();
        if there.recv().unwrap() {
            lease.ack().unwrap();
        }
    });
    assert!(here.recv().unwrap());
    (child, here)
}

/// The item of a consumer that dies, or gives it back, is not left behind by those who were told
/// that nothing comes any more.
fn a_closed_queue_waits() {
    for dies in [true, false] {
        let queue = Queue::new(0).unwrap();
        queue.put(7).unwrap();
        let (consumer, tell) = holder(&queue);
        queue.close();
        assert!(matches!(queue.try_get(), Err(Error::Empty)), "it may come back");
        let soon = Duration::from_millis(100);
        assert!(matches!(queue.get_timeout(soon), Err(Error::TimedOut)));
        let waiter = Child::run(|| assert_eq!(queue.get().unwrap(), 7));
        nap(5_000);
        if dies {
            consumer.kill();
        } else {
            tell.send(&false).unwrap();
        }
        waiter.succeed();
        assert!(matches!(queue.get(), Err(Error::Closed)));
        assert!(matches!(queue.try_get(), Err(Error::Closed)));
    }
}

fn the_last_ack_ends_a_closed_queue() {
    let queue = Queue::new(0).unwrap();
    queue.put(7).unwrap();
    let (consumer, tell) = holder(&queue);
    queue.close();
    let waiters: Vec<_> =
        (0..3).map(|_| Child::run(|| assert!(matches!(queue.get(), Err(Error::Closed))))).collect();
    nap(5_000);
    tell.send(&true).unwrap();
    consumer.succeed();
    waiters.into_iter().for_each(Child::succeed);
}

/// Each would wait for what the other one holds.
fn holders_do_not_wait_for_one_another() {
    let queue = Queue::new(0).unwrap();
    (0..2).for_each(|n| queue.put(n).unwrap());
    let (consumer, tell) = holder(&queue);
    let mine = queue.get_lease().unwrap();
    queue.close();
    assert!(matches!(queue.get(), Err(Error::Closed)));
    drop(mine);
    assert_eq!(queue.get().unwrap(), 1, "what this process gives back it can have again");
    tell.send(&true).unwrap();
    consumer.succeed();
    assert!(matches!(queue.get(), Err(Error::Closed)));
}

/// Python waits for ever here.
fn join_reports_a_dead_consumer() {
    let queue = JoinableQueue::new(0).unwrap();
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    let consumer = Child::run(|| {
        queue.get().unwrap();
        queue.task_done().unwrap();
        queue.get().unwrap();
    });
    consumer.succeed();
    let begin = Instant::now();
    assert!(matches!(queue.join(), Err(Error::ConsumerDied { items: 1 })));
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(queue.get().unwrap(), 2, "somebody else does it");
    queue.task_done().unwrap();
    queue.join().unwrap();
}

fn join_ends() {
    let queue = JoinableQueue::new(0).unwrap();
    (0..20).for_each(|n| queue.put(n).unwrap());
    let consume = || {
        while let Ok(task) = queue.get() {
            if task == 7 && std::process::id().is_multiple_of(2) {
                break; // ends without task_done
            }
            queue.task_done().unwrap();
        }
    };
    let consumers: Vec<_> = (0..4).map(|_| Child::run(consume)).collect();
    // All with the fatal pid may have gone: then it is reported, and this process takes over.
    while let Err(Error::ConsumerDied { .. }) = queue.join_timeout(LONG) {
        if let Ok(_task) = queue.try_get() {
            queue.task_done().unwrap();
        }
    }
    assert_eq!(queue.unfinished(), 0);
    queue.close();
    consumers.into_iter().for_each(Child::succeed);
}
