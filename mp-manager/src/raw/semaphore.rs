//! Permits, who holds them and who waits for one.

use std::collections::{HashMap, VecDeque};

use super::{ConnId, Outbox, Outcome, Step, Who, reply};
use crate::op::SemaphoreOp;
use crate::protocol::{Failure, Patience, Reply};

/// As many permits as Python's semaphores can have.
pub(crate) const VALUE_MAX: u64 = i32::MAX as u64;

/// Semaphore and BoundedSemaphore.
#[derive(Debug)]
pub(crate) struct Semaphore {
    value: u64,
    /// No more permits than this exist, whoever has them.
    bound: u64,
    held: HashMap<ConnId, u64>,
    line: VecDeque<ConnId>,
}

impl Semaphore {
    pub(crate) fn new(value: u64, bounded: bool) -> Result<Semaphore, Failure> {
        if value > VALUE_MAX {
            return Err(Failure::Overflow);
        }
        let bound = if bounded { value } else { VALUE_MAX };
        Ok(Semaphore { value, bound, held: HashMap::new(), line: VecDeque::new() })
    }

    pub(crate) fn apply(&mut self, who: Who, op: SemaphoreOp, out: &mut Outbox) -> Outcome {
        match op {
            SemaphoreOp::Acquire(_) if self.value > 0 => {
                self.value -= 1;
                *self.held.entry(who.conn).or_default() += 1;
                reply(Reply::Acquired { owner_died: false })
            }
            SemaphoreOp::Acquire(Patience::Never) => Err(Failure::WouldBlock),
            SemaphoreOp::Acquire(wait) => {
                self.line.push_back(who.conn);
                Ok(Step::Park(wait.deadline()))
            }
            SemaphoreOp::Release => {
                self.give_up(who.conn)?;
                self.add(1, out);
                reply(Reply::Unit)
            }
            SemaphoreOp::Forget => {
                self.give_up(who.conn)?;
                reply(Reply::Unit)
            }
            SemaphoreOp::Add(count) => {
                let there = self.value + self.held.values().sum::<u64>();
                if there.checked_add(count).is_none_or(|sum| sum > self.bound) {
                    return Err(Failure::Overflow);
                }
                self.add(count, out);
                reply(Reply::Unit)
            }
            SemaphoreOp::Value => reply(Reply::Count(self.value)),
        }
    }

    pub(crate) fn expire(&mut self, conn: ConnId, out: &mut Outbox) {
        self.line.retain(|waiting| *waiting != conn);
        out.answer(conn, Err(Failure::TimedOut));
    }

    /// A connection is gone: its permits come back.
    pub(crate) fn leave(&mut self, conn: ConnId, out: &mut Outbox) {
        self.line.retain(|waiting| *waiting != conn);
        let held = self.held.remove(&conn).unwrap_or(0);
        self.add(held, out);
    }

    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        for conn in std::mem::take(&mut self.line) {
            out.answer(conn, Err(Failure::Gone));
        }
    }

    fn give_up(&mut self, conn: ConnId) -> Result<(), Failure> {
        let held = self.held.get_mut(&conn).ok_or(Failure::NotOwner)?;
        *held -= 1;
        if *held == 0 {
            self.held.remove(&conn);
        }
        Ok(())
    }

    fn add(&mut self, count: u64, out: &mut Outbox) {
        self.value += count;
        while self.value > 0
            && let Some(conn) = self.line.pop_front()
        {
            self.value -= 1;
            *self.held.entry(conn).or_default() += 1;
            out.answer(conn, Ok(Reply::Acquired { owner_died: false }));
        }
    }
}
