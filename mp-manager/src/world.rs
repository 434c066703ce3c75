//! All objects and all who refer to them: what the server knows, without input or output.
//!
//! An object lives while its count is above zero. The count adds up the references of sessions
//! (one for each proxy in a client process), of tickets (proxies on their way in a message), of
//! names, and of values that are stored in other objects.

mod counts;
mod members;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mp_sys::Deadline;
use serde_bytes::ByteBuf;

use crate::crew::Order;
use crate::object::{Object, Parked};
use crate::pool;
use crate::protocol::{Answer, Failure, Init, ObjectId, Reply, Request, Token};
use crate::raw::{ConnId, Outbox, SessionId, Step, Who};
use crate::service::Desks;
use crate::ticket::Tickets;

use members::{Conn, Session};

#[derive(Debug)]
pub(crate) struct World {
    server: u128,
    request_max: usize,
    objects: HashMap<ObjectId, Object>,
    conns: HashMap<ConnId, Conn>,
    sessions: HashMap<SessionId, Session>,
    tokens: HashMap<Token, SessionId>,
    tickets: Tickets,
    names: BTreeMap<String, ObjectId>,
    desks: Desks,
    timers: BTreeSet<(Deadline, ConnId)>,
    last_object: ObjectId,
    last_session: SessionId,
    serial: u64,
}

/// What the server is to do about the outside world.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) answers: Vec<(ConnId, Answer)>,
    /// Connections whose session has ended.
    pub(crate) close: Vec<ConnId>,
    pub(crate) ended: Vec<SessionId>,
}

impl World {
    pub(crate) fn new(server: u128, request_max: usize, desks: Desks) -> World {
        World {
            server,
            request_max,
            objects: HashMap::new(),
            conns: HashMap::new(),
            sessions: HashMap::new(),
            tokens: HashMap::new(),
            tickets: Tickets::default(),
            names: BTreeMap::new(),
            desks,
            timers: BTreeSet::new(),
            last_object: 0,
            last_session: 0,
            serial: 0,
        }
    }

    /// When something is to be done though nobody asks.
    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        let timer = self.timers.first().map(|(deadline, _)| *deadline);
        match (timer, self.tickets.next_deadline()) {
            (Some(timer), ticket) => Some(timer.or_earlier(ticket)),
            (None, ticket) => ticket,
        }
    }

    /// Whether `conn` waits, so that its further requests must wait too.
    pub(crate) fn is_parked(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|conn| conn.parked.is_some())
    }

    /// Whether anybody has a session.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_used(&self) -> bool {
        !self.conns.is_empty() || !self.sessions.is_empty()
    }

    pub(crate) fn is_known(&self, conn: ConnId) -> bool {
        self.conns.contains_key(&conn)
    }

    /// Does what `conn` asks for.
    pub(crate) fn request(&mut self, conn: ConnId, request: Request) -> Effects {
        let Some(who) = self.conns.get(&conn).map(|conn| conn.who) else {
            return Effects::default();
        };
        let mut out = Outbox::default();
        let silent = matches!(request, Request::Release { .. } | Request::Goodbye);
        let answer = match request {
            Request::Op { object, op } => self.operate(who, object, op, &mut out),
            request => self.manage(who, request, &mut out).map(Some),
        };
        if let Some(answer) = answer.transpose()
            && !silent
        {
            // The caller's own answer goes first: others' may follow from what it caused.
            out.answers.insert(0, (conn, answer));
        }
        self.settle(out)
    }

    /// An answer that was worked out elsewhere, to request `serial` of `conn`.
    pub(crate) fn finish(&mut self, conn: ConnId, serial: u64, answer: Answer) -> Effects {
        let waits = self.conns.get(&conn).and_then(|conn| conn.parked);
        let mut out = Outbox::default();
        if waits.is_some_and(|parked| parked.serial == serial) {
            out.answer(conn, answer);
        }
        self.settle(out)
    }

    /// A pool has worked something out.
    pub(crate) fn done(
        &mut self,
        outcome: ObjectId,
        results: Result<Vec<ByteBuf>, String>,
    ) -> Effects {
        let mut out = Outbox::default();
        if let Some(object) = self.objects.get_mut(&outcome) {
            object.done(results, &mut out);
        }
        self.settle(out)
    }

    /// Wakes those whose time is up.
    pub(crate) fn expire(&mut self) -> Effects {
        let now = Deadline::now();
        let mut out = Outbox::default();
        while let Some(&(deadline, conn)) = self.timers.first()
            && deadline <= now
        {
            self.timers.remove(&(deadline, conn));
            if let Some(parked) = self.conns.get_mut(&conn).and_then(|conn| conn.parked.as_mut()) {
                parked.deadline = None;
                if let Some(object) = self.objects.get_mut(&parked.object) {
                    object.expire(conn, &mut out);
                }
            }
        }
        out.freed.extend(self.tickets.expire(now));
        self.settle(out)
    }

    /// The server has the end of a message with proxies.
    pub(crate) fn begin_message(&mut self, message: Token) {
        self.tickets.begin_message(message);
    }

    /// A message is gone, and with it what nobody has claimed.
    pub(crate) fn end_message(&mut self, message: Token) -> Effects {
        let out = Outbox { freed: self.tickets.end_message(message), ..Outbox::default() };
        self.settle(out)
    }

    /// `None`: the caller waits.
    fn operate(
        &mut self,
        who: Who,
        id: ObjectId,
        op: crate::op::Op,
        out: &mut Outbox,
    ) -> Result<Option<Reply>, Failure> {
        self.check(&op.refs())?;
        let object = self.objects.get_mut(&id).ok_or(Failure::Gone)?;
        if object.has_holders() {
            if let Some(conn) = self.conns.get_mut(&who.conn) {
                conn.touched.insert(id);
            }
            if let Some(session) = self.sessions.get_mut(&who.session) {
                session.touched.insert(id);
            }
        }
        self.serial += 1;
        match object.apply(who, self.serial, op, out)? {
            Step::Reply(reply) => Ok(Some(reply)),
            Step::Park(deadline) => {
                if let Some(conn) = self.conns.get_mut(&who.conn) {
                    conn.parked = Some(Parked { object: id, deadline, serial: self.serial });
                    self.timers.extend(deadline.map(|deadline| (deadline, who.conn)));
                }
                Ok(None)
            }
        }
    }

    fn manage(&mut self, who: Who, request: Request, out: &mut Outbox) -> Result<Reply, Failure> {
        match request {
            Request::Create { shape, init } => {
                self.create(who, shape, init, out).map(Reply::Object)
            }
            Request::Submit { pool, function, items, types } => {
                let function = mp_ipc::decode_bytes(&function)
                    .map_err(|error| Failure::Protocol(format!("not a function: {error}")))?;
                self.object(pool)?.crew()?;
                let outcome = self.create(who, pool::outcome(types), Init::Empty, out)?;
                let order = Order { outcome, function, items };
                self.object(pool)?.crew()?.order(order)?;
                Ok(Reply::Object(outcome))
            }
            Request::Ticket { object, message } => {
                self.object(object)?.count += 1;
                Ok(Reply::Ticket(self.tickets.issue(object, who.session, message)))
            }
            Request::Claim { ticket, shape } => {
                let object = self.tickets.object(ticket).ok_or(Failure::Gone)?;
                self.object(object)?.expect(&shape)?;
                self.grant(who.session, object, 1);
                self.tickets.claim(ticket);
                out.freed.push(object);
                Ok(Reply::Object(object))
            }
            Request::Adopt { refs } => {
                let mut adopted = 0;
                for (object, count) in refs {
                    if self.objects.contains_key(&object) {
                        self.grant(who.session, object, count);
                        adopted += 1;
                    }
                }
                Ok(Reply::Count(adopted))
            }
            Request::Release { object, count } => {
                let session = self.sessions.get_mut(&who.session).ok_or(Failure::Gone)?;
                let held = session.refs.get_mut(&object).ok_or(Failure::Gone)?;
                let given = count.min(*held);
                *held -= given;
                if *held == 0 {
                    session.refs.remove(&object);
                }
                self.uncount(object, given, out);
                Ok(Reply::Unit)
            }
            Request::Goodbye => {
                self.tickets.orphan(who.session);
                Ok(Reply::Unit)
            }
            Request::Publish { name, object } => {
                if self.names.contains_key(&name) {
                    return Err(Failure::NameTaken(name));
                }
                self.object(object)?.count += 1;
                self.names.insert(name, object);
                Ok(Reply::Unit)
            }
            Request::Unpublish { name } => {
                let object = self.names.remove(&name).ok_or(Failure::NoSuchName(name))?;
                out.freed.push(object);
                Ok(Reply::Unit)
            }
            Request::Named { name, shape } => {
                let object = *self.names.get(&name).ok_or(Failure::NoSuchName(name))?;
                self.object(object)?.expect(&shape)?;
                self.grant(who.session, object, 1);
                Ok(Reply::Object(object))
            }
            Request::Names => Ok(Reply::Names(self.names.keys().cloned().collect())),
            Request::Count => Ok(Reply::Count(self.objects.len() as u64)),
            Request::Hello { .. } => Err(Failure::protocol("hello comes once")),
            Request::Op { .. } | Request::Serve { .. } | Request::Shutdown => {
                Err(Failure::protocol("not a request about objects"))
            }
        }
    }

    fn unpark(&mut self, conn: ConnId) {
        let parked = self.conns.get_mut(&conn).and_then(|conn| conn.parked.take());
        if let Some(deadline) = parked.and_then(|parked| parked.deadline) {
            self.timers.remove(&(deadline, conn));
        }
    }
}

impl Effects {
    pub(crate) fn extend(&mut self, more: Effects) {
        self.answers.extend(more.answers);
        self.close.extend(more.close);
        self.ended.extend(more.ended);
    }
}
