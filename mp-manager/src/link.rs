//! One connection to the server, as a client has it.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use mp_sys::Errno;
use mp_sys::socket::{self, RecvFlags, SendFlags};

use crate::Error;
use crate::frame::{self, Fill, Front, Inbox};
use crate::protocol::{Answer, REPLY_MAX, Reply, Request, Token, VERSION};

const SCRATCH: usize = 32 << 10;

/// A connection of one thread, or the anchor of a session.
#[derive(Debug)]
pub(crate) struct Link {
    fd: OwnedFd,
    /// The process that opened it: a forked child's copy is not its own.
    pid: u32,
    inbox: Inbox,
    outbox: Vec<u8>,
    scratch: Vec<u8>,
    request_max: usize,
}

/// What the server says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Welcome {
    pub(crate) server: u128,
    pub(crate) token: Token,
}

impl Link {
    /// Says hello over a fresh connection: for a new session, or for the one with this token.
    pub(crate) fn hello(fd: OwnedFd, token: Option<Token>) -> Result<(Link, Welcome), Error> {
        let mut link = Link {
            fd,
            pid: std::process::id(),
            inbox: Inbox::default(),
            outbox: Vec::new(),
            scratch: vec![0; SCRATCH],
            request_max: crate::protocol::HELLO_MAX,
        };
        match link.call(&Request::Hello { version: VERSION, token })? {
            Reply::Hello { server, token, request_max } => {
                link.request_max = usize::try_from(request_max).unwrap_or(usize::MAX);
                Ok((link, Welcome { server, token }))
            }
            _ => Err(Error::unexpected()),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A request and its reply.
    pub(crate) fn call(&mut self, request: &Request) -> Result<Reply, Error> {
        self.push(request)?;
        self.flush(SendFlags::empty())?;
        self.reply()
    }

    /// Adds a request to what is sent next. On failure nothing is added.
    pub(crate) fn push(&mut self, request: &Request) -> Result<(), Error> {
        let written = frame::append(&mut self.outbox, self.request_max, |bytes| {
            *bytes = postcard::to_extend(request, std::mem::take(bytes))?;
            Ok(())
        });
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(len)) => Err(Error::TooBig { len: len as u64, max: self.request_max as u64 }),
            Err(error) => Err(Error::Encode(postcard::Error::to_string(&error))),
        }
    }

    /// Sends what was pushed. If it may not wait, the rest stays for the next time.
    pub(crate) fn flush(&mut self, flags: SendFlags) -> Result<(), Error> {
        let mut sent = 0;
        while sent < self.outbox.len() {
            let bytes = [IoSlice::new(&self.outbox[sent..])];
            match socket::send(&self.fd, &bytes, &[], flags) {
                Ok(count) => sent += count,
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(gone("sendmsg", errno)),
            }
        }
        self.outbox.drain(..sent);
        self.outbox.shrink_to(SCRATCH);
        Ok(())
    }

    /// Waits for the next reply.
    pub(crate) fn reply(&mut self) -> Result<Reply, Error> {
        loop {
            match self.inbox.next(REPLY_MAX) {
                Front::Frame(frame) => {
                    let answer: Result<Answer, _> = mp_ipc::decode_bytes(frame);
                    return Ok(answer.map_err(|_| Error::Protocol("not a reply".to_owned()))??);
                }
                Front::TooBig(_) => return Err(Error::Protocol("a reply too long".to_owned())),
                Front::Part => {}
            }
            match self.inbox.fill(&self.fd, &mut self.scratch, RecvFlags::empty()) {
                Ok(Fill::Bytes(_)) => {}
                Ok(Fill::End | Fill::Nothing) => return Err(Error::Disconnected),
                Err(errno) => return Err(gone("recvmsg", errno)),
            }
        }
    }
}

/// Ends the connection for the server at once, whoever has a duplicate; but not for the process
/// that this one was forked from.
impl Drop for Link {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let _: Result<_, Errno> = socket::shutdown(&self.fd);
        }
    }
}

/// What the kernel says of a connection whose other side is gone, or cannot be reached.
pub(crate) fn gone(op: &'static str, errno: Errno) -> Error {
    match errno {
        Errno::PIPE
        | Errno::CONNRESET
        | Errno::CONNREFUSED
        | Errno::NOENT
        | Errno::TIMEDOUT
        | Errno::HOSTUNREACH
        | Errno::NETUNREACH => Error::Disconnected,
        errno => Error::Os { op, errno },
    }
}
