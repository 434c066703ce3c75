//! A lane by itself, with a worker that is killed at any moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mp_pool::lane::{Fate, PoolSide, WorkerSide, lane};
use mp_process::Process;

use crate::{Case, Kind, Random, race_time};

pub(crate) const CASES: &[Case] = &[("lane_of_a_killed_worker", lane_of_a_killed_worker)];

/// The results of task `id`: as many, and as long, as its number says.
fn results(id: u64) -> Vec<Vec<u8>> {
    (0..id % 7).map(|at| vec![(id + at) as u8; (id * 31 + at * 17) as usize % 300]).collect()
}

fn work(mut side: WorkerSide) {
    while let Some((id, task)) = side.next() {
        assert_eq!(task, vec![id as u8; id as usize % 200]);
        let results = results(id);
        side.reply(id, results.iter().map(Vec::as_slice));
    }
}

/// A worker reads tasks and writes results while the pool sends tasks, takes some of them back and
/// takes replies in. Then it is killed, wherever it is. Every task has one of four ends: it was
/// replied to, once, in order and whole; it was taken back; nobody has touched it; or it is the
/// one that was running, and what is left of its results is a whole number of them.
fn lane_of_a_killed_worker(_: Kind) {
    let (end, mut random) = (Instant::now() + race_time(), Random::new(3));
    let (mut kills, mut replied, mut taken, mut cut) = (0u32, 0usize, 0usize, 0u32);
    while Instant::now() < end {
        let (mut pool, worker) = lane(4096).unwrap();
        let child = Process::forked(move || work(worker)).start().unwrap();
        let death = Instant::now() + Duration::from_micros(random.below(3_000));
        let (mut tickets, mut next) = (BTreeMap::new(), 1);
        let mut expected = Vec::new();
        while Instant::now() < death {
            while let Some(ticket) = pool.send(next, &vec![next as u8; next as usize % 200]) {
                tickets.insert(next, ticket);
                next += 1;
                if random.below(8) == 0 {
                    let (&id, &ticket) = tickets.iter().next_back().unwrap();
                    if pool.take_back(ticket) {
                        tickets.remove(&id);
                        taken += 1;
                    }
                }
            }
            take_replies(&mut pool, Duration::from_micros(50), &mut expected, &mut tickets);
        }
        child.kill().unwrap();
        child.wait();
        take_replies(&mut pool, Duration::ZERO, &mut expected, &mut tickets);
        let left = pool.leftovers().unwrap();
        let mut unfinished = tickets.into_iter().filter(|(_, t)| pool.fate(*t) == Fate::Claimed);
        if let Some((id, _)) = unfinished.next() {
            assert_eq!(left[..], results(id)[..left.len()], "of task {id}");
            cut += 1;
        } else {
            assert!(left.is_empty());
        }
        assert_eq!(unfinished.next(), None, "two tasks at once");
        assert!(expected.is_sorted(), "out of order");
        kills += 1;
        replied += expected.len();
    }
    eprintln!("lane: {kills} kills, {replied} replies, {taken} taken back, {cut} tasks cut");
}

/// Takes in the replies that there are, each of a task that was sent and not replied to.
fn take_replies<T>(
    pool: &mut PoolSide,
    patience: Duration,
    done: &mut Vec<u64>,
    tickets: &mut BTreeMap<u64, T>,
) {
    let mut patience = patience;
    while let Some(reply) = pool.reply_timeout(patience).unwrap() {
        assert!(tickets.remove(&reply.id).is_some(), "task {} has no place here", reply.id);
        assert_eq!(reply.results, results(reply.id));
        done.push(reply.id);
        patience = Duration::ZERO;
    }
}
