//! Who is connected, and what goes with them when they are gone.

use std::collections::{HashMap, HashSet};

use super::{Effects, World};
use crate::object::Parked;
use crate::protocol::{Answer, Failure, ObjectId, Reply, Request, Token, VERSION};
use crate::raw::{ConnId, Outbox, SessionId, Who};

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) who: Who,
    pub(super) parked: Option<Parked>,
    /// Where it may hold or wait for something.
    pub(super) touched: HashSet<ObjectId>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) token: Token,
    /// Its end is the end of the session.
    pub(super) anchor: ConnId,
    pub(super) conns: HashSet<ConnId>,
    pub(super) refs: HashMap<ObjectId, u64>,
    pub(super) touched: HashSet<ObjectId>,
}

impl World {
    /// The first request of a connection: which session does it belong to?
    pub(crate) fn hello(
        &mut self,
        conn: ConnId,
        request: Request,
        fresh: Token,
    ) -> (Answer, Option<SessionId>) {
        let Request::Hello { version, token } = request else {
            return (Err(Failure::protocol("the first request must be hello")), None);
        };
        if version != VERSION {
            let versions = format!("version {version}, this server speaks version {VERSION}");
            return (Err(Failure::Protocol(versions)), None);
        }
        let session = match token {
            Some(token) => match self.tokens.get(&token) {
                Some(&session) => session,
                None => return (Err(Failure::Gone), None),
            },
            None => {
                self.last_session += 1;
                let session = Session {
                    token: fresh,
                    anchor: conn,
                    conns: HashSet::new(),
                    refs: HashMap::new(),
                    touched: HashSet::new(),
                };
                self.sessions.insert(self.last_session, session);
                self.tokens.insert(fresh, self.last_session);
                self.last_session
            }
        };
        let Some(entry) = self.sessions.get_mut(&session) else {
            return (Err(Failure::Gone), None);
        };
        entry.conns.insert(conn);
        let who = Who { conn, session };
        self.conns.insert(conn, Conn { who, parked: None, touched: HashSet::new() });
        let request_max = self.request_max as u64;
        let reply = Reply::Hello { server: self.server, token: entry.token, request_max };
        (Ok(reply), Some(session))
    }

    /// A connection is gone; with a session's first connection goes the session.
    pub(crate) fn leave(&mut self, conn: ConnId) -> Effects {
        let mut out = Outbox::default();
        let Some(session) = self.drop_conn(conn, &mut out) else { return Effects::default() };
        let anchor = self.sessions.get(&session).is_some_and(|session| session.anchor == conn);
        let mut effects = self.settle(out);
        if anchor {
            effects.extend(self.end_session(session));
        }
        effects
    }

    /// A client process is gone: all that it held is given back.
    pub(crate) fn end_session(&mut self, id: SessionId) -> Effects {
        let Some(session) = self.sessions.remove(&id) else { return Effects::default() };
        let mut out = Outbox::default();
        self.tokens.remove(&session.token);
        for &conn in &session.conns {
            self.drop_conn(conn, &mut out);
        }
        for object in &session.touched {
            if let Some(object) = self.objects.get_mut(object) {
                object.leave_session(id, &mut out);
            }
        }
        out.freed.extend(self.tickets.end_session(id));
        for (object, count) in session.refs {
            self.uncount(object, count, &mut out);
        }
        let mut effects = self.settle(out);
        effects.close.extend(session.conns);
        effects.ended.push(id);
        effects
    }

    pub(super) fn drop_conn(&mut self, id: ConnId, out: &mut Outbox) -> Option<SessionId> {
        let conn = self.conns.remove(&id)?;
        if let Some(deadline) = conn.parked.and_then(|parked| parked.deadline) {
            self.timers.remove(&(deadline, id));
        }
        for object in &conn.touched {
            if let Some(object) = self.objects.get_mut(object) {
                object.leave(id, out);
            }
        }
        if let Some(session) = self.sessions.get_mut(&conn.who.session) {
            session.conns.remove(&id);
        }
        Some(conn.who.session)
    }
}
