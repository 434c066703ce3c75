//! One connection, as the server sees it.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use mp_sys::Errno;
use mp_sys::epoll::Watch;
use mp_sys::socket::{self, RecvFlags, SendFlags};

use crate::frame::{self, Fill, Front, Inbox};
use crate::protocol::{Answer, Failure, REPLY_MAX, Request};

/// While more than this waits to be sent, no further request of the connection is looked at.
const BACKLOG: usize = 256 << 10;

/// While more than this waits to be looked at, no more is read.
const AHEAD: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) fd: OwnedFd,
    /// Came through the door, not over a listener: one of the family.
    pub(crate) local: bool,
    /// What the kernel was asked to tell about it.
    pub(crate) watch: Watch,
    inbox: Inbox,
    outbox: Vec<u8>,
    sent: usize,
    ended: bool,
    /// The longest request.
    max: usize,
}

impl Peer {
    pub(crate) fn new(fd: OwnedFd, local: bool, max: usize) -> Peer {
        let watch = Watch { readable: true, writable: false };
        let inbox = Inbox::default();
        Peer { fd, local, watch, inbox, outbox: Vec::new(), sent: 0, ended: false, max }
    }

    /// Reads what is there, a scratch buffer full at most.
    pub(crate) fn fill(&mut self, scratch: &mut [u8]) -> Result<(), Errno> {
        if self.inbox.fill(&self.fd, scratch, RecvFlags::DONTWAIT)? == Fill::End {
            self.ended = true;
        }
        Ok(())
    }

    /// The next request, if a whole one is there.
    pub(crate) fn request(&mut self, max: usize) -> Result<Option<Request>, Failure> {
        match self.inbox.next(max) {
            Front::Part => Ok(None),
            Front::TooBig(len) => Err(Failure::TooBig { len: len as u64, max: max as u64 }),
            Front::Frame(frame) => match mp_ipc::decode_bytes(frame) {
                Ok(request) => Ok(Some(request)),
                Err(error) => Err(Failure::Protocol(format!("not a request: {error}"))),
            },
        }
    }

    pub(crate) fn answer(&mut self, answer: &Answer) {
        let written = frame::append(&mut self.outbox, REPLY_MAX, |bytes| encode(answer, bytes));
        if let Ok(Err(len)) = written {
            let failure: Answer = Err(Failure::TooBig { len: len as u64, max: REPLY_MAX as u64 });
            let _: Result<_, postcard::Error> =
                frame::append(&mut self.outbox, REPLY_MAX, |bytes| encode(&failure, bytes));
        }
    }

    /// Sends as much as goes without waiting.
    pub(crate) fn flush(&mut self) -> Result<(), Errno> {
        while self.sent < self.outbox.len() {
            let bytes = [IoSlice::new(&self.outbox[self.sent..])];
            match socket::send(&self.fd, &bytes, &[], SendFlags::DONTWAIT) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        self.outbox.clear();
        self.outbox.shrink_to(BACKLOG);
        self.sent = 0;
        Ok(())
    }

    /// What to be told about it next.
    pub(crate) fn wanted(&self) -> Watch {
        Watch {
            readable: !self.ended && (self.inbox.len() < AHEAD || self.is_partial()),
            writable: self.backlog() > 0,
        }
    }

    /// Whether its requests must wait until it has read its replies.
    pub(crate) fn is_behind(&self) -> bool {
        self.backlog() > BACKLOG
    }

    pub(crate) fn has_request(&self) -> bool {
        self.inbox.is_ready(self.max)
    }

    /// The peer will send no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// A request longer than what is read ahead has begun: it must be read to its end.
    fn is_partial(&self) -> bool {
        !self.inbox.is_ready(self.max)
    }

    fn backlog(&self) -> usize {
        self.outbox.len() - self.sent
    }
}

fn encode(answer: &Answer, bytes: &mut Vec<u8>) -> Result<(), postcard::Error> {
    *bytes = postcard::to_extend(answer, std::mem::take(bytes))?;
    Ok(())
}
