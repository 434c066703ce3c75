//! What CPython's tests assert of `Queue` and `JoinableQueue`.

use std::time::Instant;

use mp_manager::{Error, JoinableQueue, Manager, Queue};

use crate::Body;
use crate::crew::{Board, Mode, SHORT, join};

pub(crate) const BODIES: &[Body] = &[
    ("queue_bounds", bounds),
    ("queue_times", times),
    ("queue_order", order),
    ("queue_each_once", each_once),
    ("queue_close", close),
    ("joinable_queue", joinable),
    ("joinable_queue_leases", leases),
    ("joinable_queue_join_again", join_again),
];

/// test_put: a party fills it, and is told when it is full.
fn bounds(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (queue, board) = (manager.queue::<u32>(6).unwrap(), Board::new());
    assert!(queue.is_empty().unwrap() && !queue.is_full().unwrap());
    let getter = |(queue, board): (Queue<u32>, Board)| {
        board.until(0, 1);
        (1..=6).for_each(|n| assert_eq!(queue.get().unwrap(), n));
        board.add(0);
    };
    let getter = mode.run(getter, &(queue.clone(), board.clone()));
    queue.extend(1..=6).unwrap();
    assert!(queue.is_full().unwrap());
    assert_eq!(queue.len().unwrap(), 6);
    assert!(matches!(queue.try_put(7).unwrap_err().error(), Error::Full));
    let start = Instant::now();
    let late = queue.put_timeout(7, SHORT).unwrap_err();
    assert!(matches!(late.into_parts(), (7, Error::TimedOut)));
    assert!(start.elapsed() >= SHORT);
    board.add(0);
    board.until(0, 2);
    assert!(queue.is_empty().unwrap());
    getter.join();
}

/// test_get, test_timeout
fn times(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (queue, board) = (manager.queue::<u32>(0).unwrap(), Board::new());
    assert!(matches!(queue.try_get(), Err(Error::Empty)));
    let start = Instant::now();
    assert!(matches!(queue.get_timeout(SHORT), Err(Error::TimedOut)));
    assert!(start.elapsed() >= SHORT);
    let getter = |((queue, board), i): ((Queue<u32>, Board), u32)| {
        board.sleeper(i);
        board.add(10 + queue.get().unwrap());
    };
    let getters = mode.run_each(2, getter, &(queue.clone(), board.clone()));
    board.until_asleep(0..2, &manager);
    queue.extend(0..2).unwrap();
    join(getters);
    assert_eq!((board.get(10), board.get(11)), (1, 1));
}

/// test_fork, test_qsize: what one puts comes in its order, through a queue that is mostly full.
fn order(mode: Mode) {
    let manager = Manager::start().unwrap();
    let queue = manager.queue::<u32>(2).unwrap();
    let putter = mode.run(|queue: Queue<u32>| queue.extend(0..100).unwrap(), &queue);
    (0..100).for_each(|n| assert_eq!(queue.get().unwrap(), n));
    putter.join();
    assert_eq!(queue.len().unwrap(), 0);
}

fn each_once(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (jobs, done) = (manager.queue::<u32>(3).unwrap(), manager.queue::<u32>(0).unwrap());
    let worker = |((jobs, done), i): ((Queue<u32>, Queue<u32>), u32)| {
        if i < 2 {
            (0..50).for_each(|n| jobs.put(i * 50 + n).unwrap());
        } else {
            while let Ok(job) = jobs.get() {
                done.put(job).unwrap();
            }
        }
    };
    let mut workers = mode.run_each(4, worker, &(jobs.clone(), done.clone()));
    let consumers = workers.split_off(2);
    join(workers);
    jobs.close().unwrap();
    join(consumers);
    let mut all = done.get_many(usize::MAX).unwrap();
    all.sort();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

/// `queue.Queue.shutdown`: who waits is woken, what is left can be got.
fn close(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (empty, full) = (manager.queue::<u32>(1).unwrap(), manager.queue::<u32>(1).unwrap());
    full.put(1).unwrap();
    let board = Board::new();
    let party = |((empty, full, board), i): ((Queue<u32>, Queue<u32>, Board), u32)| {
        board.sleeper(i);
        match i {
            0 => assert!(matches!(empty.get(), Err(Error::Closed))),
            _ => assert!(matches!(full.put(2).unwrap_err().into_parts(), (2, Error::Closed))),
        }
    };
    let parties = mode.run_each(2, party, &(empty.clone(), full.clone(), board.clone()));
    board.until_asleep(0..2, &manager);
    empty.close().unwrap();
    full.close().unwrap();
    join(parties);
    assert_eq!(full.get().unwrap(), 1);
    assert!(matches!(full.try_get(), Err(Error::Closed)));
    assert!(matches!(empty.try_put(1).unwrap_err().error(), Error::Closed));
}

/// test_task_done
fn joinable(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (queue, board) = (manager.joinable_queue::<Option<u32>>(0).unwrap(), Board::new());
    let worker = |((queue, board), _): ((JoinableQueue<Option<u32>>, Board), u32)| {
        while let Some(n) = queue.get().unwrap() {
            std::thread::sleep(SHORT / 10);
            board.add(n);
            queue.task_done().unwrap();
        }
        queue.task_done().unwrap();
    };
    let workers = mode.run_each(4, worker, &(queue.clone(), board.clone()));
    queue.extend((0..10).map(Some)).unwrap();
    queue.join().unwrap();
    assert!((0..10).all(|n| board.get(n) == 1), "all is done when join returns");
    queue.extend([None; 4]).unwrap();
    join(workers);
    queue.join().unwrap();
    assert!(matches!(queue.task_done(), Err(Error::Overflow)));
}

/// What a party has got is its own to report, in its order.
fn leases(mode: Mode) {
    let manager = Manager::start().unwrap();
    let queue = manager.joinable_queue::<u32>(0).unwrap();
    queue.extend(0..3).unwrap();
    assert_eq!(queue.get_many(2).unwrap(), [0, 1]);
    let other = |queue: JoinableQueue<u32>| {
        assert_eq!(queue.get().unwrap(), 2);
        queue.task_done().unwrap();
    };
    mode.run(other, &queue).join();
    assert!(matches!(queue.join_timeout(SHORT), Err(Error::TimedOut)));
    queue.task_done().unwrap();
    queue.task_done().unwrap();
    queue.join().unwrap();
    assert!(matches!(queue.task_done(), Err(Error::Overflow)));
}

fn join_again(mode: Mode) {
    let manager = Manager::start().unwrap();
    let (queue, board) = (manager.joinable_queue::<u32>(0).unwrap(), Board::new());
    let joiner = |((queue, board), i): ((JoinableQueue<u32>, Board), u32)| {
        board.sleeper(i);
        queue.join().unwrap();
        board.add(10);
    };
    for round in 1..=2 {
        queue.put(round).unwrap();
        let joiners = mode.run_each(2, joiner, &(queue.clone(), board.clone()));
        board.until_asleep(0..2, &manager);
        assert_eq!(board.get(10), 2 * (round - 1), "not before it is done");
        assert_eq!(queue.get().unwrap(), round);
        queue.task_done().unwrap();
        join(joiners);
    }
}
