//! A flag, and who waits for it.

use super::{ConnId, Outbox, Outcome, Step, Who, reply};
use crate::op::EventOp;
use crate::protocol::{Failure, Patience, Reply};

#[derive(Debug, Default)]
pub(crate) struct Event {
    set: bool,
    waiting: Vec<ConnId>,
}

impl Event {
    pub(crate) fn apply(&mut self, who: Who, op: EventOp, out: &mut Outbox) -> Outcome {
        match op {
            EventOp::Set => {
                self.set = true;
                for conn in std::mem::take(&mut self.waiting) {
                    out.answer(conn, Ok(Reply::Unit));
                }
                reply(Reply::Unit)
            }
            EventOp::Clear => {
                self.set = false;
                reply(Reply::Unit)
            }
            EventOp::IsSet => reply(Reply::Flag(self.set)),
            EventOp::Wait(_) if self.set => reply(Reply::Unit),
            EventOp::Wait(Patience::Never) => Err(Failure::TimedOut),
            EventOp::Wait(wait) => {
                self.waiting.push(who.conn);
                Ok(Step::Park(wait.deadline()))
            }
        }
    }

    pub(crate) fn expire(&mut self, conn: ConnId, out: &mut Outbox) {
        self.leave(conn);
        out.answer(conn, Err(Failure::TimedOut));
    }

    pub(crate) fn leave(&mut self, conn: ConnId) {
        self.waiting.retain(|waiting| *waiting != conn);
    }

    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        for conn in std::mem::take(&mut self.waiting) {
            out.answer(conn, Err(Failure::Gone));
        }
    }
}
