//! loom explores the lane and its bell: the shipped code of both ends, on memory of which every
//! word is read and written by itself.
//!
//! Deadlines do not exist in a model, so whoever sleeps and is not woken is a deadlock, which loom
//! reports.

use std::time::Duration;

use loom::thread;
use mp_sys::Deadline;
use mp_sys::poll::{Interest, poll};

use crate::lane::{Fate, PoolSide, WorkerSide, lane};
use crate::sys::{BYTES_MIN, dying};

const LONG: Duration = Duration::from_secs(3_600);

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// The body of task `id`: two of them fill a ring.
fn body(id: u64) -> [u8; 40] {
    [id as u8; 40]
}

/// Takes a task in and replies to it; `None` if there are no more.
fn work(worker: &mut WorkerSide) -> Option<u64> {
    let (id, task) = worker.next()?;
    assert!(task.iter().all(|byte| *byte == id as u8), "{task:?} for {id}");
    worker.reply(id, [&[id as u8; 3][..]]);
    Some(id)
}

/// Waits for the next reply, and checks it.
fn reply(pool: &mut PoolSide) -> u64 {
    let reply = pool.reply_timeout(LONG).unwrap().expect("there are no deadlines");
    assert_eq!(reply.results, [[reply.id as u8; 3]]);
    reply.id
}

/// A lane that has been in use: so many tasks have gone through, one after the other.
fn used(tasks: u64) -> (PoolSide, WorkerSide) {
    let (mut pool, mut worker) = lane(BYTES_MIN).unwrap();
    for id in 0..tasks {
        pool.send(id, &[id as u8]).unwrap();
        assert_eq!(work(&mut worker), Some(id));
        assert_eq!(reply(&mut pool), id);
    }
    (pool, worker)
}

/// Each wakes the other, or finds what it left; the second task goes around the end of both rings
/// and of the claim words.
#[test]
fn there_and_back() {
    explore(3, || {
        let (mut pool, mut worker) = used(3);
        let worker = thread::spawn(move || [work(&mut worker), work(&mut worker)]);
        pool.send(3, &[3]).unwrap();
        pool.send(4, &[4]).unwrap();
        assert_eq!([reply(&mut pool), reply(&mut pool)], [3, 4]);
        assert_eq!(worker.join().unwrap(), [Some(3), Some(4)]);
    });
}

#[test]
fn a_task_is_done_or_taken_back() {
    explore(5, || {
        let (mut pool, mut worker) = used(3);
        let tickets = [3, 4].map(|id| pool.send(id, &[id as u8]).unwrap());
        let worker =
            thread::spawn(move || std::iter::from_fn(|| work(&mut worker)).collect::<Vec<_>>());
        let back = pool.take_back(tickets[1]);
        assert!(!back || !pool.take_back(tickets[1]), "once");
        pool.retire();
        let done = worker.join().unwrap();
        assert_eq!(done, if back { vec![3] } else { vec![3, 4] });
        let fate = if back { Fate::TakenBack } else { Fate::Claimed };
        assert_eq!(tickets.map(|ticket| pool.fate(ticket)), [Fate::Claimed, fate]);
    });
}

#[test]
fn room_for_tasks_is_used_again() {
    explore(3, || {
        let (mut pool, mut worker) = used(1);
        assert!(pool.send(1, &body(1)).is_some() && pool.send(2, &body(2)).is_some());
        let worker = thread::spawn(move || {
            let first = [work(&mut worker), work(&mut worker)];
            (first, work(&mut worker))
        });
        let early = pool.send(3, &body(3));
        assert_eq!([reply(&mut pool), reply(&mut pool)], [1, 2]);
        if early.is_none() {
            assert!(pool.send(3, &body(3)).is_some(), "two replies, so there is room for one");
        }
        assert_eq!(reply(&mut pool), 3);
        assert_eq!(worker.join().unwrap(), ([Some(1), Some(2)], Some(3)));
    });
}

/// A reply goes through a ring that is full; and one of two pieces, which waits between them.
#[test]
fn room_for_replies_is_waited_for() {
    explore(3, || {
        let (mut pool, mut worker) = used(1);
        for id in 1..5 {
            pool.send(id, &[id as u8]).unwrap();
            work(&mut worker);
        }
        pool.send(5, &[5]).unwrap();
        let worker = thread::spawn(move || {
            let (id, _) = worker.next().unwrap();
            worker.reply(id, [&[5u8; 3][..], &[6u8; 3]]);
        });
        (1..5).for_each(|id| assert_eq!(reply(&mut pool), id));
        let last = pool.reply_timeout(LONG).unwrap().unwrap();
        assert_eq!((last.id, last.results), (5, vec![vec![5; 3], vec![6; 3]]));
        worker.join().unwrap();
    });
}

/// A worker dies at each of its steps, while the pool takes back what it can. What was replied to
/// is there, whole; of what was running whole results are left; what nobody has claimed can be
/// taken back; and nothing has two ends.
#[test]
fn a_worker_dies_anywhere() {
    let mut steps = 0;
    let finished = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    while !finished.load(std::sync::atomic::Ordering::Relaxed) {
        let through = std::sync::Arc::clone(&finished);
        explore(2, move || {
            let (mut pool, mut worker) = used(3);
            let tickets = [3, 4].map(|id| pool.send(id, &[id as u8]).unwrap());
            pool.retire();
            let worker = thread::spawn(move || {
                let all = dying(steps, || while work(&mut worker).is_some() {});
                std::mem::forget(worker); // A dead process cleans nothing up.
                all.is_some()
            });
            let back = pool.take_back(tickets[1]);
            if worker.join().unwrap() {
                through.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            let mut done = Vec::new();
            while let Some(reply) = pool.reply_timeout(Duration::ZERO).unwrap() {
                assert_eq!(reply.results, [[reply.id as u8; 3]]);
                done.push(reply.id);
            }
            let left = pool.leftovers().unwrap();
            let fates = tickets.map(|ticket| pool.fate(ticket));
            assert_eq!(fates[1] == Fate::TakenBack, back);
            let ended = done.len();
            assert_eq!(done, [3, 4][..ended]);
            // What was claimed and not replied to is the one that was running.
            let running: Vec<u64> = [3, 4]
                .into_iter()
                .zip(fates)
                .filter(|(id, fate)| *fate == Fate::Claimed && !done.contains(id))
                .map(|(id, _)| id)
                .collect();
            assert!(running.len() <= 1, "{running:?}");
            match (running.first(), &left[..]) {
                (_, []) => {}
                (Some(id), [result]) => assert_eq!(result[..], [*id as u8; 3]),
                other => panic!("{other:?}"),
            }
        });
        steps += 1;
        assert!(steps < 1_000, "it never gets to its end");
    }
    assert!(steps > 20, "{steps} steps are too few");
}

/// A caller that would rather have many results at once hears of the worker at its mark, and before
/// that if the worker is about to sleep: here for room, with a reply longer than the ring.
#[test]
fn a_patient_caller_is_woken() {
    explore(2, || {
        let (mut pool, mut worker) = used(2);
        pool.send(2, &[2]).unwrap();
        pool.send(3, &[3]).unwrap();
        let worker = thread::spawn(move || {
            let (id, _) = worker.next().unwrap();
            worker.reply(id, [&[7u8; 40][..]]);
            work(&mut worker)
        });
        let mut replies = Vec::new();
        while replies.len() < 2 {
            let (end, ear) = pool.parts();
            end.mark(0);
            ear.arm_patiently();
            if !end.has_reply() {
                ear.sleep(None);
            }
            replies.extend(pool.take_reply().unwrap());
        }
        assert_eq!([&replies[0].results[0][..], &replies[1].results[0]], [&[7; 40][..], &[3; 3]]);
        assert_eq!(worker.join().unwrap(), Some(3));
    });
}

/// The collector polls a socket: if it found nothing and goes to sleep, there will be a byte.
#[test]
fn the_collector_is_knocked_up() {
    explore(5, || {
        let (mut pool, mut worker) = used(1);
        pool.send(1, &[1]).unwrap();
        let worker = thread::spawn(move || {
            work(&mut worker);
            worker
        });
        let (end, ear) = pool.parts();
        ear.arm_wire();
        let sleeps = !end.has_reply();
        let _alive = worker.join().unwrap(); // Its end would be heard, too.
        let fds = [(ear.fd(), Interest::Readable)];
        let rung = poll(&fds, Some(Deadline::now())).unwrap()[0];
        assert!(rung || !sleeps, "it would sleep for ever");
        assert_eq!(reply(&mut pool), 1);
    });
}
