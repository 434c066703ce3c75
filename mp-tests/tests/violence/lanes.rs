//! The lane between a pool and a worker.

use std::cell::RefCell;

use mp_pool::lane::{Fate, PoolSide, Ticket, WorkerSide, lane};

use crate::Operation;
use crate::world::{BRIEFLY, SOON, World, ensure, in_time, say};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::new("lane: push", || {
        World::new(
            Lane::new(1),
            |lane| {
                lane.pool.borrow_mut().send(2, &task(2)).unwrap();
            },
            // The pool dies with it; its worker does what it was told, and then ends.
            |lane, finished| {
                let tasks = lane.rest()?;
                ensure(tasks.starts_with(&[1]) && tasks.len() <= 2, || format!("{tasks:?}"))?;
                ensure(!finished || tasks.len() == 2, || "a pushed task is lost".to_owned())
            },
            Lane::has_no_reply,
        )
    }),
    Operation::new("lane: claim", || {
        World::new(
            Lane::new(2),
            |lane| {
                let claimed = lane.worker.borrow_mut().next().unwrap();
                assert_eq!(claimed, (1, task(1)));
            },
            |lane, finished| {
                let claimed = lane.fate(1) == Fate::Claimed;
                ensure(claimed || !finished, || "claimed by nobody".to_owned())?;
                // The pool gets back whatever the dead worker had not claimed, and once.
                for (id, back) in [(1, !claimed), (2, true)] {
                    ensure(lane.take_back(id) == back, || format!("{id}: not {back}"))?;
                    ensure(!lane.take_back(id), || format!("{id} taken back twice"))?;
                }
                lane.has_no_reply()
            },
            |lane| {
                // What it has claimed stays its own.
                let claimed = lane.fate(1) == Fate::Claimed;
                let theft = claimed && lane.take_back(1);
                ensure(!theft, || "taken from a paused worker".to_owned())?;
                lane.has_no_reply()
            },
        )
    }),
    Operation::new("lane: take back", || {
        World::new(
            Lane::new(3),
            |lane| assert!(lane.take_back(2)),
            |lane, finished| {
                let taken = lane.fate(2) == Fate::TakenBack;
                ensure(taken || !finished, || "not taken back".to_owned())?;
                let (tasks, expected) =
                    (lane.rest()?, if taken { &[1, 3][..] } else { &[1, 2, 3] });
                ensure(tasks == expected, || format!("{tasks:?}, and not {expected:?}"))
            },
            Lane::has_no_reply,
        )
    }),
    Operation::new("lane: reply", || {
        let lane = Lane::new(1);
        lane.worker.borrow_mut().next().unwrap();
        World::new(
            lane,
            |lane| lane.worker.borrow_mut().reply(1, RESULTS),
            |lane, finished| {
                let mut pool = lane.pool.borrow_mut();
                let reply = in_time(BRIEFLY, || pool.reply_timeout(BRIEFLY))?;
                match reply.map_err(say("reply"))? {
                    Some(reply) => ensure(reply.results == RESULTS, || format!("{reply:?}")),
                    None => {
                        ensure(!finished, || "a reply is lost".to_owned())?;
                        // As many results as were whole.
                        let left = pool.leftovers().map_err(say("leftovers"))?;
                        ensure(RESULTS[..left.len()] == left[..], || format!("left: {left:?}"))
                    }
                }
            },
            |_| Ok(()),
        )
    }),
];

const RESULTS: [&[u8]; 3] = [b"one", b"two of them", b""];

struct Lane {
    pool: RefCell<PoolSide>,
    worker: RefCell<WorkerSide>,
    tickets: Vec<Ticket>,
}

fn task(id: u64) -> Vec<u8> {
    vec![id as u8; 40]
}

impl Lane {
    /// A lane with tasks in it, from 1 on.
    fn new(tasks: u64) -> Lane {
        let (mut pool, worker) = lane(4096).unwrap();
        let tickets = (1..=tasks).map(|id| pool.send(id, &task(id)).unwrap()).collect();
        Lane { pool: RefCell::new(pool), worker: RefCell::new(worker), tickets }
    }

    fn fate(&self, id: usize) -> Fate {
        self.pool.borrow().fate(self.tickets[id - 1])
    }

    fn take_back(&self, id: usize) -> bool {
        self.pool.borrow_mut().take_back(self.tickets[id - 1])
    }

    /// What a worker finds in it that is told that no more comes.
    fn rest(&self) -> Result<Vec<u64>, String> {
        self.pool.borrow().retire();
        let mut worker = self.worker.borrow_mut();
        let found = in_time(SOON, || std::iter::from_fn(|| worker.next()).collect::<Vec<_>>())?;
        let torn = found.iter().find(|(id, body)| *body != task(*id));
        ensure(torn.is_none(), || format!("torn: {torn:?}"))?;
        Ok(found.into_iter().map(|(id, _)| id).collect())
    }

    fn has_no_reply(&self) -> Result<(), String> {
        let reply = in_time(BRIEFLY, || self.pool.borrow_mut().reply_timeout(BRIEFLY))?;
        let reply = reply.map_err(say("reply"))?;
        ensure(reply.is_none(), || format!("out of nothing: {reply:?}"))
    }
}
