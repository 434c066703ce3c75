//! The door: how the family gets connections to the server, without any name or key.
//!
//! It is a pair of packet sockets. Whoever has a duplicate of the outer end makes a socket pair
//! of its own and sends one end of it through the door, and with its first also a descriptor of
//! its own process, whose end the server then learns from the kernel, even while a forked child
//! keeps duplicates of the sockets open. Having the descriptor is the permission.
//!
//! Through the door goes also one end of each socket pair whose other end travels in a message.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mp_sys::socket::{self, RecvFlags, SendFlags};
use mp_sys::{Errno, pidfd};

use crate::Error;
use crate::protocol::Token;

const CONNECTION: u8 = b'c';
const MESSAGE: u8 = b'm';

/// Opens one more connection; with `process`, the server is also told whose it is.
pub(crate) fn knock(door: BorrowedFd<'_>, process: bool) -> Result<OwnedFd, Error> {
    let (ours, theirs) = socket::stream_pair().map_err(Error::os("socketpair"))?;
    let process = match process {
        true => Some(pidfd::open(std::process::id() as i32).map_err(Error::os("pidfd_open"))?),
        false => None,
    };
    let mut fds = vec![theirs.as_fd()];
    fds.extend(process.as_ref().map(AsFd::as_fd));
    pass(door, &[CONNECTION], &fds).map(|()| ours)
}

/// Gives the server one end for a message with this number; the other end is to travel in it.
pub(crate) fn announce(door: BorrowedFd<'_>, message: Token) -> Result<OwnedFd, Error> {
    let (ours, theirs) = socket::stream_pair().map_err(Error::os("socketpair"))?;
    let mut bytes = vec![MESSAGE];
    bytes.extend(message.to_le_bytes());
    pass(door, &bytes, &[theirs.as_fd()]).map(|()| ours)
}

fn pass(door: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
    match socket::send(door, &[IoSlice::new(bytes)], fds, SendFlags::empty()) {
        Ok(_) => Ok(()),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(Error::Disconnected),
        Err(errno) => Err(Error::Os { op: "sendmsg", errno }),
    }
}

/// What came through the door.
#[derive(Debug)]
pub(crate) enum Visit {
    /// A connection, and the process that it comes from.
    Socket(OwnedFd, Option<OwnedFd>),
    /// The end of a message.
    Message(Token, OwnedFd),
    /// Somebody whose descriptors did not come.
    Lost,
    Nobody,
    /// Every outer end is closed: nobody will come any more.
    Shut,
}

pub(crate) fn receive(door: BorrowedFd<'_>) -> Visit {
    let mut fds = Vec::new();
    let mut bytes = [0; 17];
    match socket::recv(door, &mut bytes, &mut fds, RecvFlags::DONTWAIT) {
        Ok(received) if received.bytes == 0 => Visit::Shut,
        Ok(received) => {
            let mut fds = fds.into_iter();
            match (&bytes[..received.bytes], fds.next(), fds.next()) {
                ([CONNECTION], Some(socket), process) => Visit::Socket(socket, process),
                ([MESSAGE, token @ ..], Some(end), None) if token.len() == 16 => {
                    let token =
                        token.iter().rfold(0, |token, &byte| token << 8 | Token::from(byte));
                    Visit::Message(token, end)
                }
                // The descriptors were lost, because this process may open no more: the other
                // side sees its connection end.
                _ => Visit::Lost,
            }
        }
        Err(Errno::AGAIN) => Visit::Nobody,
        Err(_) => Visit::Shut,
    }
}
