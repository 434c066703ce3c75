//! A lock, who waits for it, and who sleeps on its conditions.

use std::collections::VecDeque;

use super::{ConnId, Outbox, Outcome, Step, Who, reply};
use crate::op::LockOp;
use crate::protocol::{Failure, Patience, Reply};

/// How many conditions one lock has at most.
const CONDITIONS_MAX: usize = 1024;

/// Lock, RLock and Condition.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    reentrant: bool,
    owner: Option<Owner>,
    /// The last owner died with the lock: the next is told.
    died: bool,
    /// Who gets it next. Empty while the lock is free.
    line: VecDeque<Next>,
    conditions: Vec<VecDeque<Owner>>,
}

/// A connection, and how often it has (or will have) the lock.
#[derive(Clone, Copy, Debug)]
struct Owner {
    conn: ConnId,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    owner: Owner,
    /// It comes back from a condition: because it was notified, or too late.
    woken: Option<bool>,
}

impl Lock {
    pub(crate) fn new(reentrant: bool, conditions: usize) -> Lock {
        let conditions = std::iter::repeat_with(VecDeque::new).take(conditions).collect();
        Lock { reentrant, conditions, ..Lock::default() }
    }

    pub(crate) fn apply(&mut self, who: Who, op: LockOp, out: &mut Outbox) -> Outcome {
        let conn = who.conn;
        match op {
            LockOp::Acquire(wait) => self.acquire(conn, wait),
            LockOp::Release => {
                let owner = self.owned_by(conn)?;
                if owner.count > 1 {
                    owner.count -= 1;
                } else {
                    self.owner = None;
                    self.pass_on(out);
                }
                reply(Reply::Unit)
            }
            LockOp::Locked => reply(Reply::Flag(self.owner.is_some())),
            LockOp::Condition => {
                if self.conditions.len() == CONDITIONS_MAX {
                    return Err(Failure::Overflow);
                }
                self.conditions.push(VecDeque::new());
                reply(Reply::Count(self.conditions.len() as u64 - 1))
            }
            LockOp::Wait { condition, wait } => {
                let owner = *self.owned_by(conn)?;
                self.sleepers(condition)?.push_back(owner);
                self.owner = None;
                self.pass_on(out);
                Ok(Step::Park(wait.deadline()))
            }
            LockOp::Notify { condition, most } => {
                self.owned_by(conn)?;
                let sleepers = self.sleepers(condition)?;
                let count = sleepers.len().min(usize::try_from(most).unwrap_or(usize::MAX));
                let woken: Vec<Owner> = sleepers.drain(..count).collect();
                self.line.extend(woken.into_iter().map(|owner| Next { owner, woken: Some(true) }));
                reply(Reply::Count(count as u64))
            }
        }
    }

    /// The deadline of a waiting connection has passed.
    pub(crate) fn expire(&mut self, conn: ConnId, out: &mut Outbox) {
        for sleepers in &mut self.conditions {
            if let Some(at) = sleepers.iter().position(|owner| owner.conn == conn)
                && let Some(owner) = sleepers.remove(at)
            {
                // A wait ends with the lock in hand: it queues for it, without a deadline.
                self.line.push_back(Next { owner, woken: Some(false) });
                if self.owner.is_none() {
                    self.pass_on(out);
                }
                return;
            }
        }
        let before = self.line.len();
        self.line.retain(|next| next.owner.conn != conn || next.woken.is_some());
        if self.line.len() < before {
            out.answer(conn, Err(Failure::TimedOut));
        }
    }

    /// A connection is gone, with whatever it held or waited for.
    pub(crate) fn leave(&mut self, conn: ConnId, out: &mut Outbox) {
        self.line.retain(|next| next.owner.conn != conn);
        for sleepers in &mut self.conditions {
            sleepers.retain(|owner| owner.conn != conn);
        }
        if self.owner.is_some_and(|owner| owner.conn == conn) {
            self.owner = None;
            self.died = true;
            self.pass_on(out);
        }
    }

    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        let sleeping = std::mem::take(&mut self.conditions).into_iter().flatten();
        let waiting = std::mem::take(&mut self.line).into_iter().map(|next| next.owner);
        for owner in waiting.chain(sleeping) {
            out.answer(owner.conn, Err(Failure::Gone));
        }
    }

    fn acquire(&mut self, conn: ConnId, wait: Patience) -> Outcome {
        match &mut self.owner {
            None => {
                self.owner = Some(Owner { conn, count: 1 });
                reply(Reply::Acquired { owner_died: std::mem::take(&mut self.died) })
            }
            Some(owner) if owner.conn == conn && self.reentrant => {
                owner.count += 1;
                reply(Reply::Acquired { owner_died: false })
            }
            Some(_) if wait == Patience::Never => Err(Failure::WouldBlock),
            Some(owner) if owner.conn == conn => Err(Failure::WouldDeadlock),
            Some(_) => {
                let owner = Owner { conn, count: 1 };
                self.line.push_back(Next { owner, woken: None });
                Ok(Step::Park(wait.deadline()))
            }
        }
    }

    fn owned_by(&mut self, conn: ConnId) -> Result<&mut Owner, Failure> {
        self.owner.as_mut().filter(|owner| owner.conn == conn).ok_or(Failure::NotOwner)
    }

    fn sleepers(&mut self, condition: u64) -> Result<&mut VecDeque<Owner>, Failure> {
        let at = usize::try_from(condition).unwrap_or(usize::MAX);
        self.conditions.get_mut(at).ok_or_else(|| Failure::protocol("no such condition"))
    }

    /// The lock is free: the first in line has it.
    fn pass_on(&mut self, out: &mut Outbox) {
        let Some(Next { owner, woken }) = self.line.pop_front() else { return };
        self.owner = Some(owner);
        let owner_died = std::mem::take(&mut self.died);
        let reply = match woken {
            None => Reply::Acquired { owner_died },
            Some(notified) => Reply::Woken { notified, owner_died },
        };
        out.answer(owner.conn, Ok(reply));
    }
}
