//! References that are on their way in messages.
//!
//! A proxy in a message carries a ticket, and the ticket counts as a reference until the receiver
//! has claimed it.
//!
//! How long does an unclaimed ticket live? As long as its message. The message carries one end of
//! a socket pair whose other end the server has: when the last duplicate closes, because the
//! message was dropped, or its receiver died before it had looked, the kernel says so. So neither
//! a lost message nor a dead sender matters.
//!
//! Where no descriptor can travel (the manager is reached over TCP), a ticket is its sender's: if
//! that process dies, the ticket goes with it. If the session ends in order (a child has returned
//! a proxy and is done), it stays for [`GRACE`].

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
    /// The tickets in each message whose end the server has.
    messages: HashMap<Token, Vec<Token>>,
}

#[derive(Debug)]
struct Ticket {
    object: ObjectId,
    holder: Holder,
    /// The message that it is in.
    message: Option<Token>,
}

/// Whose an unclaimed ticket is.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    Message,
    Sender(SessionId),
    /// Nobody's, until then.
    Nobody(Deadline),
}

impl Tickets {
    pub(crate) fn issue(
        &mut self,
        object: ObjectId,
        sender: SessionId,
        message: Option<Token>,
    ) -> Token {
        let token = token::random();
        let inside = message.and_then(|message| self.messages.get_mut(&message));
        let holder = match inside {
            Some(inside) => {
                inside.push(token);
                Holder::Message
            }
            None => Holder::Sender(sender),
        };
        self.issued.insert(token, Ticket { object, holder, message });
        token
    }

    /// The server has the end of this message.
    pub(crate) fn begin_message(&mut self, message: Token) {
        let mut inside = Vec::new();
        // Those that came before the end did.
        for (token, ticket) in &mut self.issued {
            if ticket.message == Some(message) {
                ticket.holder = Holder::Message;
                inside.push(*token);
            }
        }
        self.messages.insert(message, inside);
    }

    /// There is no such message any more: these objects have lost a reference.
    pub(crate) fn end_message(&mut self, message: Token) -> Vec<ObjectId> {
        let inside = self.messages.remove(&message).into_iter().flatten();
        inside.filter_map(|token| self.issued.remove(&token)).map(|ticket| ticket.object).collect()
    }

    pub(crate) fn object(&self, token: Token) -> Option<ObjectId> {
        self.issued.get(&token).map(|ticket| ticket.object)
    }

    /// The reference is the claimant's from here on.
    pub(crate) fn claim(&mut self, token: Token) {
        if let Some(Ticket { holder: Holder::Nobody(deadline), .. }) = self.issued.remove(&token) {
            self.orphans.remove(&(deadline, token));
        }
    }

    /// The session ends in order.
    pub(crate) fn orphan(&mut self, session: SessionId) {
        let deadline = Deadline::after(GRACE);
        for (token, ticket) in &mut self.issued {
            if ticket.holder == Holder::Sender(session) {
                ticket.holder = Holder::Nobody(deadline);
                self.orphans.insert((deadline, *token));
            }
        }
    }

    /// The session is gone: these objects have lost a reference.
    pub(crate) fn end_session(&mut self, session: SessionId) -> Vec<ObjectId> {
        let theirs = self.issued.extract_if(|_, ticket| ticket.holder == Holder::Sender(session));
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
