//! What a managed pool works out, and who waits for it.

use serde_bytes::ByteBuf;

use super::{ConnId, Outbox, Outcome as Answered, Step, Who, reply};
use crate::op::OutcomeOp;
use crate::protocol::{Answer, Failure, Patience, Reply};

/// The results of one call, once they are there.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    results: Option<Result<Vec<ByteBuf>, String>>,
    waiting: Vec<ConnId>,
}

impl Outcome {
    pub(crate) fn apply(&mut self, who: Who, op: OutcomeOp) -> Answered {
        match op {
            OutcomeOp::Ready => reply(Reply::Flag(self.results.is_some())),
            OutcomeOp::Wait(wait) => match &self.results {
                Some(results) => answer(results).map(Step::Reply),
                None if wait == Patience::Never => Err(Failure::WouldBlock),
                None => {
                    self.waiting.push(who.conn);
                    Ok(Step::Park(wait.deadline()))
                }
            },
        }
    }

    pub(crate) fn set(&mut self, results: Result<Vec<ByteBuf>, String>, out: &mut Outbox) {
        for conn in std::mem::take(&mut self.waiting) {
            out.answer(conn, answer(&results));
        }
        self.results = Some(results);
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

fn answer(results: &Result<Vec<ByteBuf>, String>) -> Answer {
    match results {
        Ok(results) => Ok(Reply::Keys(results.clone())),
        Err(why) => Err(Failure::Task(why.clone())),
    }
}
