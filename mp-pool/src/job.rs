//! One task at a worker: a function and the row of items that it is to be called with.

use std::os::fd::OwnedFd;

use mp_process::{PanicInfo, catch_panic_quietly};
use mp_sys::{Deadline, fd_table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Item, Number, Row};
use crate::function::Initialised;
use crate::local;
use crate::worker_end::{Claimed, Reply, WorkerEnd};

/// Why one item has no result, as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    Panicked(PanicInfo),
    Codec(String),
}

/// In [`Frame::extra`](crate::lane::Frame) of a task: the number of items, and above it flags.
pub(crate) const COUNT: u64 = u32::MAX as u64;
/// The task runs against the clock: note when each item begins.
pub(crate) const TIMED: u64 = 1 << 32;

/// A claimed task on its way through its function. It holds the worker's end of the lane while it
/// runs, so that each result goes straight to where it survives the worker.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) end: WorkerEnd,
    pub(crate) id: u64,
    pub(crate) extra: u64,
    pub(crate) since: u64,
    /// `[length of the function's name][function][items]`.
    pub(crate) body: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
    scratch: Vec<u8>,
}

/// How many bytes the length of the function's name takes.
const NAME: usize = 2;

/// Begins a task's body: the function, as it travels.
pub(crate) fn begin_body(function: &[u8], body: &mut Vec<u8>) {
    body.extend_from_slice(&(function.len() as u16).to_le_bytes());
    body.extend_from_slice(function);
}

/// Where the items begin in a body.
pub(crate) fn items_at(body: &[u8]) -> Option<usize> {
    let len: [u8; NAME] = body.get(..NAME)?.try_into().ok()?;
    Some(NAME + usize::from(u16::from_le_bytes(len))).filter(|at| *at <= body.len())
}

impl Job {
    pub(crate) fn new(end: WorkerEnd, claimed: Claimed, body: Vec<u8>, scratch: Vec<u8>) -> Job {
        let Claimed { id, extra, since, fds } = claimed;
        Job { end, id, extra, since, body, fds, scratch }
    }

    /// Gives the parts back that serve the next task too.
    pub(crate) fn into_parts(self) -> (WorkerEnd, Vec<u8>, Vec<u8>) {
        (self.end, self.body, self.scratch)
    }

    /// The function, as it travelled.
    pub(crate) fn function(&self) -> &[u8] {
        items_at(&self.body).map_or(&[], |at| &self.body[NAME..at])
    }

    /// Calls `function` with each item and sends the results.
    pub(crate) fn run<A: DeserializeOwned + 'static, R: Serialize + 'static>(
        &mut self,
        function: fn(A) -> R,
    ) {
        self.call_each(function);
    }

    /// Calls the initialiser and notes whether it succeeded.
    pub(crate) fn run_init<A: DeserializeOwned + 'static, O: Initialised>(
        &mut self,
        function: fn(A) -> O,
    ) {
        self.call_each(|argument| {
            let outcome = function(argument).outcome();
            if outcome.is_ok() {
                local::initialised();
            }
            outcome
        });
    }

    fn call_each<A: DeserializeOwned + 'static, R: Serialize + 'static>(
        &mut self,
        function: impl Fn(A) -> R,
    ) {
        self.each(|item, reply, scratch| {
            let failure = match codec::decode::<A>(item) {
                Err(reason) => Failure::Codec(format!("argument: {reason}")),
                Ok(argument) => {
                    let result = function(argument);
                    if let Some(number) = Number::of(&result) {
                        return reply.write_number(number);
                    }
                    scratch.clear();
                    match codec::push(scratch, &result) {
                        Ok(()) => return reply.write(scratch),
                        Err(reason) => Failure::Codec(format!("result: {reason}")),
                    }
                }
            };
            fail(&failure, reply, scratch);
        });
    }

    /// Answers every item with the same failure.
    pub(crate) fn refuse(&mut self, reason: &str) {
        self.each(|_, reply, scratch| {
            fail(&Failure::Codec(reason.to_owned()), reply, scratch);
        });
    }

    fn each(&mut self, mut call: impl FnMut(&[u8], &mut Reply<'_>, &mut Vec<u8>)) {
        let count = self.extra & COUNT;
        let timed = self.extra & TIMED != 0;
        let mut rest = Row::new(items_at(&self.body).map_or(&[][..], |at| &self.body[at..]));
        let scratch = &mut self.scratch;
        let mut reply = self.end.reply(self.id, count);
        let incoming = std::mem::take(&mut self.fds);
        let mut done = 0;
        let ((), outgoing) = fd_table::collect(|| {
            fd_table::supply(incoming, || {
                while done < count && !reply.is_deserted() {
                    // All items in one guard, and after a panic the others in another.
                    let panic = catch_panic_quietly(|| {
                        while done < count {
                            if timed {
                                local::begin_item(reply.begin_item());
                            }
                            if reply.is_deserted() {
                                return;
                            }
                            let item = match rest.take() {
                                Some(Item::Value(item)) => item,
                                _ => &[], // Cut short: decoding says so.
                            };
                            call(item, &mut reply, scratch);
                            reply.commit_item();
                            done += 1;
                        }
                    });
                    if let Err(panic) = panic {
                        fail(&Failure::Panicked(panic), &mut reply, scratch);
                        reply.commit_item();
                        done += 1;
                    }
                }
            });
        });
        let nanos = Deadline::now().as_nanos().saturating_sub(self.since);
        reply.finish(&outgoing, nanos);
    }
}

/// Writes a failure in place of a result.
#[cold]
fn fail(failure: &Failure, reply: &mut Reply<'_>, scratch: &mut Vec<u8>) {
    scratch.clear();
    // A string or two: that can be encoded.
    let _ = codec::push_failure(scratch, failure);
    reply.write(scratch);
}
