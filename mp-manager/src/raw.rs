//! The objects as the server has them: states without types, and without any input or output.
//!
//! An object is asked to do an operation for a connection. It answers at once, or says that the
//! caller must wait and remembers it; later operations of others put the answer into the outbox.
//! So nothing here ever blocks, and one loop serves everybody.

pub(crate) mod barrier;
pub(crate) mod event;
pub(crate) mod lock;
pub(crate) mod outcome;
pub(crate) mod queue;
pub(crate) mod semaphore;
pub(crate) mod sequence;
mod stored;
pub(crate) mod table;

use mp_sys::Deadline;

use crate::protocol::{Answer, Failure, ObjectId, Reply};

pub(crate) type ConnId = u64;
pub(crate) type SessionId = u64;

/// Who asks: a thread's connection, and the process that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) conn: ConnId,
    pub(crate) session: SessionId,
}

/// What became of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Reply(Reply),
    /// The answer comes through the outbox, or the deadline passes.
    Park(Option<Deadline>),
}

pub(crate) type Outcome = Result<Step, Failure>;

/// What an operation does to others than its caller.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Answers to connections that were waiting.
    pub(crate) answers: Vec<(ConnId, Answer)>,
    /// Objects that one more stored value refers to.
    pub(crate) kept: Vec<ObjectId>,
    /// Objects that one stored value less refers to.
    pub(crate) freed: Vec<ObjectId>,
}

impl Outbox {
    pub(crate) fn answer(&mut self, conn: ConnId, answer: Answer) {
        self.answers.push((conn, answer));
    }

    /// A value is stored: what it refers to is held.
    pub(crate) fn keep(&mut self, refs: &[ObjectId]) {
        self.kept.extend_from_slice(refs);
    }

    /// A value is no longer stored.
    pub(crate) fn free(&mut self, refs: &[ObjectId]) {
        self.freed.extend_from_slice(refs);
    }
}

/// For operations that never wait.
pub(crate) fn reply(reply: Reply) -> Outcome {
    Ok(Step::Reply(reply))
}

/// An index from the wire as one into a collection of `len`.
pub(crate) fn within(index: u64, len: usize) -> Result<usize, Failure> {
    match usize::try_from(index) {
        Ok(at) if at < len => Ok(at),
        _ => Err(Failure::OutOfRange { index, len: len as u64 }),
    }
}
