//! A queue of encoded values, and who waits for it.

use std::collections::{HashMap, VecDeque};

use super::{ConnId, Outbox, Outcome, SessionId, Step, Who, reply};
use crate::op::QueueOp;
use crate::protocol::{Blob, Failure, Patience, Reply};

/// Queue and JoinableQueue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Blob>,
    /// 0 is no bound.
    capacity: u64,
    closed: bool,
    putters: VecDeque<Putter>,
    getters: VecDeque<Getter>,
    /// For a joinable queue, what was got and is not done, oldest first.
    leases: Option<HashMap<SessionId, VecDeque<Blob>>>,
    joiners: Vec<ConnId>,
}

#[derive(Debug)]
struct Putter {
    conn: ConnId,
    left: VecDeque<Blob>,
    put: u64,
}

#[derive(Debug)]
struct Getter {
    who: Who,
    most: u64,
}

impl Queue {
    pub(crate) fn new(capacity: u64, joinable: bool) -> Queue {
        Queue { capacity, leases: joinable.then(HashMap::new), ..Queue::default() }
    }

    pub(crate) fn apply(&mut self, who: Who, op: QueueOp, out: &mut Outbox) -> Outcome {
        match op {
            QueueOp::Put { values, wait } => self.put(who, values, wait, out),
            QueueOp::Get { most, wait } => self.get(who, most.max(1), wait, out),
            QueueOp::Len => reply(Reply::Count(self.items.len() as u64)),
            QueueOp::IsFull => {
                reply(Reply::Flag(self.capacity > 0 && self.items.len() as u64 >= self.capacity))
            }
            QueueOp::Close => {
                self.closed = true;
                for putter in std::mem::take(&mut self.putters) {
                    out.answer(putter.conn, stopped(putter.put, Failure::Closed));
                }
                self.end_getters(out);
                reply(Reply::Unit)
            }
            QueueOp::Done(count) => self.done(who.session, count, out),
            QueueOp::Join(wait) => match self.leases {
                None => Err(Failure::protocol("only a joinable queue can be joined")),
                Some(_) if self.all_done() => reply(Reply::Unit),
                Some(_) if wait == Patience::Never => Err(Failure::TimedOut),
                Some(_) => {
                    self.joiners.push(who.conn);
                    Ok(Step::Park(wait.deadline()))
                }
            },
        }
    }

    /// The deadline of a waiting connection has passed.
    pub(crate) fn expire(&mut self, conn: ConnId, out: &mut Outbox) {
        if let Some(at) = self.putters.iter().position(|putter| putter.conn == conn)
            && let Some(putter) = self.putters.remove(at)
        {
            out.answer(conn, stopped(putter.put, Failure::TimedOut));
        } else {
            self.withdraw(conn);
            out.answer(conn, Err(Failure::TimedOut));
        }
        self.flow(out);
    }

    /// A waiting connection is gone.
    pub(crate) fn withdraw(&mut self, conn: ConnId) {
        self.putters.retain(|putter| putter.conn != conn);
        self.getters.retain(|getter| getter.who.conn != conn);
        self.joiners.retain(|joiner| *joiner != conn);
    }

    /// A process is gone: what it had got and not done is the next to be got.
    pub(crate) fn leave(&mut self, session: SessionId, out: &mut Outbox) {
        let leases = self.leases.as_mut().and_then(|leases| leases.remove(&session));
        let Some(leased) = leases else { return };
        for value in leased.into_iter().rev() {
            self.items.push_front(value);
        }
        self.flow(out);
        if !self.items.is_empty() {
            // Nobody stands ready to take them over: those who wait for the end are told.
            for conn in std::mem::take(&mut self.joiners) {
                out.answer(conn, Err(Failure::ConsumerDied));
            }
        }
    }

    /// Forgets everything; whoever waits is told that the object is gone.
    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        let leased = self.leases.take().into_iter().flatten().flat_map(|(_, values)| values);
        for value in leased.chain(std::mem::take(&mut self.items)) {
            out.free(&value.refs);
        }
        let putters = std::mem::take(&mut self.putters).into_iter().map(|putter| putter.conn);
        let getters = std::mem::take(&mut self.getters).into_iter().map(|getter| getter.who.conn);
        for conn in putters.chain(getters).chain(std::mem::take(&mut self.joiners)) {
            out.answer(conn, Err(Failure::Gone));
        }
    }

    fn put(&mut self, who: Who, values: Vec<Blob>, wait: Patience, out: &mut Outbox) -> Outcome {
        if self.closed {
            return Err(Failure::Closed);
        }
        let mut putter = Putter { conn: who.conn, left: values.into(), put: 0 };
        if self.putters.is_empty() {
            self.admit(&mut putter, out);
        }
        let Putter { put, .. } = putter;
        let full = !putter.left.is_empty();
        if full && wait != Patience::Never {
            self.putters.push_back(putter);
        }
        self.flow(out);
        match (full, wait) {
            (false, _) => reply(Reply::Count(put)),
            (true, Patience::Never) => stopped(put, Failure::Full).map(Step::Reply),
            // The flow may have made room and answered already: an answer in the outbox ends
            // the parking that is reported here.
            (true, _) => Ok(Step::Park(wait.deadline())),
        }
    }

    fn get(&mut self, who: Who, most: u64, wait: Patience, out: &mut Outbox) -> Outcome {
        if self.getters.is_empty() && !self.items.is_empty() {
            let values = self.take(who.session, most, out);
            self.flow(out);
            return reply(Reply::Values(values));
        }
        if self.closed && self.items.is_empty() {
            return Err(Failure::Closed);
        }
        if wait == Patience::Never {
            return Err(Failure::Empty);
        }
        self.getters.push_back(Getter { who, most });
        Ok(Step::Park(wait.deadline()))
    }

    fn done(&mut self, session: SessionId, count: u64, out: &mut Outbox) -> Outcome {
        let Some(leases) = &mut self.leases else {
            return Err(Failure::protocol("only a joinable queue counts what is done"));
        };
        let mine = leases.get_mut(&session).map_or(0, |mine| mine.len() as u64);
        if count > mine {
            return Err(Failure::Overflow);
        }
        if let Some(leased) = leases.get_mut(&session) {
            leased.drain(..count as usize).for_each(|value| out.free(&value.refs));
            if leased.is_empty() {
                leases.remove(&session);
            }
        }
        self.end_joiners(out);
        reply(Reply::Unit)
    }

    /// Moves values in from those who wait to put, and out to those who wait to get, until
    /// neither goes on.
    fn flow(&mut self, out: &mut Outbox) {
        loop {
            let mut moved = false;
            if let Some(mut putter) = self.putters.pop_front() {
                moved |= self.admit(&mut putter, out);
                if putter.left.is_empty() {
                    out.answer(putter.conn, Ok(Reply::Count(putter.put)));
                } else {
                    self.putters.push_front(putter);
                }
            }
            if !self.items.is_empty()
                && let Some(Getter { who, most }) = self.getters.pop_front()
            {
                let values = self.take(who.session, most, out);
                out.answer(who.conn, Ok(Reply::Values(values)));
                moved = true;
            }
            if !moved {
                break;
            }
        }
        if self.closed && self.items.is_empty() {
            self.end_getters(out);
        }
    }

    fn admit(&mut self, putter: &mut Putter, out: &mut Outbox) -> bool {
        let mut moved = false;
        while (self.capacity == 0 || (self.items.len() as u64) < self.capacity)
            && let Some(value) = putter.left.pop_front()
        {
            out.keep(&value.refs);
            self.items.push_back(value);
            putter.put += 1;
            moved = true;
        }
        moved
    }

    fn take(&mut self, session: SessionId, most: u64, out: &mut Outbox) -> Vec<Blob> {
        let count = self.items.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let values: Vec<Blob> = self.items.drain(..count).collect();
        match &mut self.leases {
            Some(leases) => leases.entry(session).or_default().extend(values.iter().cloned()),
            None => values.iter().for_each(|value| out.free(&value.refs)),
        }
        values
    }

    fn all_done(&self) -> bool {
        self.items.is_empty()
            && self.putters.is_empty()
            && self.leases.as_ref().is_none_or(HashMap::is_empty)
    }

    fn end_joiners(&mut self, out: &mut Outbox) {
        if self.all_done() {
            for conn in std::mem::take(&mut self.joiners) {
                out.answer(conn, Ok(Reply::Unit));
            }
        }
    }

    fn end_getters(&mut self, out: &mut Outbox) {
        if self.items.is_empty() {
            for getter in std::mem::take(&mut self.getters) {
                out.answer(getter.who.conn, Err(Failure::Closed));
            }
        }
    }
}

/// The answer to a put that ends before all is in.
fn stopped(put: u64, why: Failure) -> Result<Reply, Failure> {
    if put == 0 { Err(why) } else { Ok(Reply::Count(put)) }
}
