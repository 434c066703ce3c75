//! References that are on their way in messages.
//!
//! A proxy in a message carries a ticket, and the ticket counts as a reference until the receiver
//! has claimed it. It is its sender's: if that process dies, the ticket goes with it. If the
//! session ends in order (a child has returned a proxy and is done), it stays for [`GRACE`].

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use mp_sys::Deadline;

use crate::protocol::{ObjectId, Token};
use crate::raw::SessionId;
use crate::token;

/// How long a ticket outlives a session that ended in order.
const GRACE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    issued: HashMap<Token, Ticket>,
    orphans: BTreeSet<(Deadline, Token)>,
}

#[derive(Debug)]
struct Ticket {
    object: ObjectId,
    /// Whose it is, or until when it is nobody's.
    sender: Result<SessionId, Deadline>,
}

impl Tickets {
    pub(crate) fn issue(&mut self, object: ObjectId, sender: SessionId) -> Token {
        let token = token::random();
        self.issued.insert(token, Ticket { object, sender: Ok(sender) });
        token
    }

    pub(crate) fn object(&self, token: Token) -> Option<ObjectId> {
        self.issued.get(&token).map(|ticket| ticket.object)
    }

    /// The reference is the claimant's from here on.
    pub(crate) fn claim(&mut self, token: Token) {
        if let Some(Ticket { sender: Err(deadline), .. }) = self.issued.remove(&token) {
            self.orphans.remove(&(deadline, token));
        }
    }

    /// The session ends in order.
    pub(crate) fn orphan(&mut self, session: SessionId) {
        let deadline = Deadline::after(GRACE);
        for (token, ticket) in &mut self.issued {
            if ticket.sender == Ok(session) {
                ticket.sender = Err(deadline);
                self.orphans.insert((deadline, *token));
            }
        }
    }

    /// The session is gone: these objects have lost a reference.
    pub(crate) fn end_session(&mut self, session: SessionId) -> Vec<ObjectId> {
        let theirs = self.issued.extract_if(|_, ticket| ticket.sender == Ok(session));
        theirs.map(|(_, ticket)| ticket.object).collect()
    }

    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        self.orphans.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn expire(&mut self, now: Deadline) -> Vec<ObjectId> {
        let mut freed = Vec::new();
        while let Some(&(deadline, token)) = self.orphans.first()
            && deadline <= now
        {
            self.orphans.pop_first();
            freed.extend(self.issued.remove(&token).map(|ticket| ticket.object));
        }
        freed
    }
}
