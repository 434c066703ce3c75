//! One object in the server: what it is, how many refer to it, and its state.

use mp_sys::Deadline;
use serde_bytes::ByteBuf;

use crate::crew::Crew;
use crate::op::Op;
use crate::protocol::{Failure, Init, Kind, Shape};
use crate::raw::barrier::Barrier;
use crate::raw::event::Event;
use crate::raw::lock::Lock;
use crate::raw::outcome::Outcome as Results;
use crate::raw::queue::Queue;
use crate::raw::semaphore::Semaphore;
use crate::raw::sequence::Sequence;
use crate::raw::table::Table;
use crate::raw::{ConnId, Outbox, Outcome, SessionId, Who};
use crate::service::{Desk, Desks};

#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) shape: Shape,
    /// References of sessions, of tickets, of names and of stored values. It never overflows: a
    /// session has less than 2^64.
    pub(crate) count: u128,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Table(Table),
    Sequence(Sequence),
    Queue(Queue),
    Lock(Lock),
    Semaphore(Semaphore),
    Event(Event),
    Barrier(Barrier),
    Service(Desk),
    Pool(Crew),
    Outcome(Results),
}

impl Object {
    /// Whether it is such an object.
    pub(crate) fn expect(&self, expected: &Shape) -> Result<(), Failure> {
        if self.shape == *expected {
            return Ok(());
        }
        Err(Failure::Mismatch { expected: expected.name(), found: self.shape.name() })
    }

    /// Makes the object, of which nobody else knows yet.
    pub(crate) fn new(
        shape: Shape,
        init: Init,
        desks: &Desks,
        out: &mut Outbox,
    ) -> Result<Object, Failure> {
        let body = match (shape.kind, init) {
            (Kind::Service, Init::Service { name, args }) => {
                Body::Service(desks.open(&name, &shape.types, &args)?)
            }
            (Kind::Pool, Init::Number(workers)) => Body::Pool(desks.hire(workers)?),
            (Kind::Outcome, Init::Empty) => Body::Outcome(Results::default()),
            (Kind::Dict | Kind::Set | Kind::Namespace | Kind::Value, Init::Pairs(pairs)) => {
                Body::Table(Table::new(pairs, out))
            }
            (Kind::List, Init::Values(values)) => Body::Sequence(Sequence::new(values, false, out)),
            (Kind::Array, Init::Values(values)) => Body::Sequence(Sequence::new(values, true, out)),
            (Kind::Queue, Init::Number(capacity)) => Body::Queue(Queue::new(capacity, false)),
            (Kind::JoinableQueue, Init::Number(capacity)) => {
                Body::Queue(Queue::new(capacity, true))
            }
            (Kind::Lock, Init::Empty) => Body::Lock(Lock::new(false, 0)),
            (Kind::RLock, Init::Empty) => Body::Lock(Lock::new(true, 0)),
            (Kind::Condition, Init::Empty) => Body::Lock(Lock::new(true, 1)),
            (Kind::Semaphore, Init::Number(value)) => {
                Body::Semaphore(Semaphore::new(value, false)?)
            }
            (Kind::BoundedSemaphore, Init::Number(value)) => {
                Body::Semaphore(Semaphore::new(value, true)?)
            }
            (Kind::Event, Init::Empty) => Body::Event(Event::default()),
            (Kind::Barrier, Init::Number(parties)) => Body::Barrier(Barrier::new(parties)?),
            _ => return Err(Failure::protocol("such an object does not begin like this")),
        };
        Ok(Object { shape, count: 0, body })
    }

    pub(crate) fn apply(&mut self, who: Who, serial: u64, op: Op, out: &mut Outbox) -> Outcome {
        match (&mut self.body, op) {
            (Body::Table(table), Op::Table(op)) => table.apply(op, out),
            (Body::Sequence(sequence), Op::Sequence(op)) => sequence.apply(op, out),
            (Body::Queue(queue), Op::Queue(op)) => queue.apply(who, op, out),
            (Body::Lock(lock), Op::Lock(op)) => lock.apply(who, op, out),
            (Body::Semaphore(semaphore), Op::Semaphore(op)) => semaphore.apply(who, op, out),
            (Body::Event(event), Op::Event(op)) => event.apply(who, op, out),
            (Body::Barrier(barrier), Op::Barrier(op)) => barrier.apply(who, op, out),
            (Body::Outcome(results), Op::Outcome(op)) => results.apply(who, op),
            (Body::Service(desk), Op::Service(bytes)) => desk.call(who, serial, bytes.into_vec()),
            _ => Err(Failure::protocol("such an object has no such operation")),
        }
    }

    /// Whether the end of a connection or of a session can matter to this object.
    pub(crate) fn has_holders(&self) -> bool {
        !matches!(self.body, Body::Table(_) | Body::Sequence(_) | Body::Service(_) | Body::Pool(_))
    }

    /// The deadline of a connection that waits here has passed.
    pub(crate) fn expire(&mut self, conn: ConnId, out: &mut Outbox) {
        match &mut self.body {
            Body::Queue(queue) => queue.expire(conn, out),
            Body::Lock(lock) => lock.expire(conn, out),
            Body::Semaphore(semaphore) => semaphore.expire(conn, out),
            Body::Event(event) => event.expire(conn, out),
            Body::Barrier(barrier) => barrier.expire(conn, out),
            Body::Outcome(results) => results.expire(conn, out),
            Body::Table(_) | Body::Sequence(_) | Body::Pool(_) => {}
            Body::Service(_) => out.answer(conn, Err(Failure::TimedOut)),
        }
    }

    /// A connection is gone, with its waits, locks and permits.
    pub(crate) fn leave(&mut self, conn: ConnId, out: &mut Outbox) {
        match &mut self.body {
            Body::Queue(queue) => queue.withdraw(conn),
            Body::Lock(lock) => lock.leave(conn, out),
            Body::Semaphore(semaphore) => semaphore.leave(conn, out),
            Body::Event(event) => event.leave(conn),
            Body::Barrier(barrier) => barrier.leave(conn, out),
            Body::Outcome(results) => results.leave(conn),
            Body::Table(_) | Body::Sequence(_) | Body::Service(_) | Body::Pool(_) => {}
        }
    }

    /// A process is gone, with what it had leased.
    pub(crate) fn leave_session(&mut self, session: SessionId, out: &mut Outbox) {
        if let Body::Queue(queue) = &mut self.body {
            queue.leave(session, out);
        }
    }

    /// The object ends: what its values refer to is freed, and who waits is told.
    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        match &mut self.body {
            Body::Table(table) => table.clear(out),
            Body::Sequence(sequence) => sequence.clear(out),
            Body::Queue(queue) => queue.clear(out),
            Body::Lock(lock) => lock.clear(out),
            Body::Semaphore(semaphore) => semaphore.clear(out),
            Body::Event(event) => event.clear(out),
            Body::Barrier(barrier) => barrier.clear(out),
            Body::Outcome(results) => results.clear(out),
            Body::Service(_) | Body::Pool(_) => {}
        }
    }

    /// The pool that this is.
    pub(crate) fn crew(&self) -> Result<&Crew, Failure> {
        match &self.body {
            Body::Pool(crew) => Ok(crew),
            _ => Err(Failure::protocol("only a pool is handed calls")),
        }
    }

    /// The results have come.
    pub(crate) fn done(&mut self, results: Result<Vec<ByteBuf>, String>, out: &mut Outbox) {
        if let Body::Outcome(outcome) = &mut self.body {
            outcome.set(results, out);
        }
    }
}

/// Where a connection waits, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    pub(crate) object: u64,
    pub(crate) deadline: Option<Deadline>,
    /// Which of its requests this is.
    pub(crate) serial: u64,
}
