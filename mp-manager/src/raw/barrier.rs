//! A meeting point of a fixed number of parties.

use super::{ConnId, Outbox, Outcome, Step, Who, reply};
use crate::op::BarrierOp;
use crate::protocol::{Failure, Patience, Reply};

#[derive(Debug)]
pub(crate) struct Barrier {
    parties: u64,
    /// Who has come for the next passage; places are given when it is complete.
    waiting: Vec<ConnId>,
    acting: Option<Acting>,
    broken: bool,
}

/// The last to come does something before the others go on.
#[derive(Debug)]
struct Acting {
    conn: ConnId,
    others: Vec<ConnId>,
}

impl Barrier {
    pub(crate) fn new(parties: u64) -> Result<Barrier, Failure> {
        if parties == 0 {
            return Err(Failure::protocol("a barrier has at least one party"));
        }
        Ok(Barrier { parties, waiting: Vec::new(), acting: None, broken: false })
    }

    pub(crate) fn apply(&mut self, who: Who, op: BarrierOp, out: &mut Outbox) -> Outcome {
        match op {
            BarrierOp::Wait { wait, acts } => self.wait(who.conn, wait, acts, out),
            BarrierOp::Acted(well) => {
                let acting = self.acting.take_if(|acting| acting.conn == who.conn);
                let acting = acting.ok_or(Failure::NotOwner)?;
                if well {
                    for (place, conn) in acting.others.into_iter().enumerate() {
                        out.answer(conn, Ok(passed(place)));
                    }
                } else {
                    self.acting = Some(acting);
                    self.break_up(out);
                }
                reply(Reply::Unit)
            }
            BarrierOp::Abort => {
                self.break_up(out);
                reply(Reply::Unit)
            }
            BarrierOp::Reset => {
                self.break_up(out);
                self.broken = false;
                reply(Reply::Unit)
            }
            BarrierOp::State => reply(Reply::Barrier {
                parties: self.parties,
                waiting: self.waiting.len() as u64,
                broken: self.broken,
            }),
        }
    }

    /// A party's time is up: nobody passes any more.
    pub(crate) fn expire(&mut self, conn: ConnId, out: &mut Outbox) {
        self.forget(conn);
        out.answer(conn, Err(Failure::TimedOut));
        self.break_up(out);
    }

    /// A connection is gone. If it had come, it can pass no more, so neither can the others.
    pub(crate) fn leave(&mut self, conn: ConnId, out: &mut Outbox) {
        let acts = self.acting.as_ref().is_some_and(|acting| acting.conn == conn);
        if self.forget(conn) || acts {
            self.break_up(out);
        }
    }

    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        let others = self.acting.take().into_iter().flat_map(|acting| acting.others);
        for conn in std::mem::take(&mut self.waiting).into_iter().chain(others) {
            out.answer(conn, Err(Failure::Gone));
        }
    }

    fn wait(&mut self, conn: ConnId, wait: Patience, acts: bool, out: &mut Outbox) -> Outcome {
        if self.broken {
            return Err(Failure::Broken);
        }
        let place = self.waiting.len();
        if self.acting.is_none() && place as u64 + 1 == self.parties {
            let others = std::mem::take(&mut self.waiting);
            if acts {
                self.acting = Some(Acting { conn, others });
                return reply(Reply::Passed { index: place as u64, acts: true });
            }
            for (place, conn) in others.into_iter().enumerate() {
                out.answer(conn, Ok(passed(place)));
            }
            return reply(passed(place));
        }
        if self.acting.is_some() && place as u64 + 1 >= self.parties {
            // More than the parties use the barrier: those of this passage are not through yet.
            return Err(Failure::Overflow);
        }
        if wait == Patience::Never {
            self.break_up(out);
            return Err(Failure::TimedOut);
        }
        self.waiting.push(conn);
        Ok(Step::Park(wait.deadline()))
    }

    /// Whether it was here.
    fn forget(&mut self, conn: ConnId) -> bool {
        let others = self.acting.as_mut().map(|acting| &mut acting.others);
        let mut found = false;
        for list in std::iter::once(&mut self.waiting).chain(others) {
            let before = list.len();
            list.retain(|waiting| *waiting != conn);
            found |= list.len() < before;
        }
        found
    }

    fn break_up(&mut self, out: &mut Outbox) {
        self.broken = true;
        let others = self.acting.take().into_iter().flat_map(|acting| acting.others);
        for conn in others.chain(std::mem::take(&mut self.waiting)) {
            out.answer(conn, Err(Failure::Broken));
        }
    }
}

fn passed(place: usize) -> Reply {
    Reply::Passed { index: place as u64, acts: false }
}
