//! The door: how the family gets connections to the server, without any name or key.
//!
//! It is a pair of packet sockets. Whoever has a duplicate of the outer end makes a socket pair
//! of its own and sends one end of it through the door, and with its first also a descriptor of
//! its own process, whose end the server then learns from the kernel, even while a forked child
//! keeps duplicates of the sockets open. Having the descriptor is the permission.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mp_sys::socket::{self, RecvFlags, SendFlags};
use mp_sys::{Errno, pidfd};

use crate::Error;

/// Opens one more connection; with `process`, the server is also told whose it is.
pub(crate) fn knock(door: BorrowedFd<'_>, process: bool) -> Result<OwnedFd, Error> {
    let (ours, theirs) = socket::stream_pair().map_err(Error::os("socketpair"))?;
    let process = match process {
        true => Some(pidfd::open(std::process::id() as i32).map_err(Error::os("pidfd_open"))?),
        false => None,
    };
    let mut fds = vec![theirs.as_fd()];
    fds.extend(process.as_ref().map(AsFd::as_fd));
    match socket::send(door, &[IoSlice::new(b"d")], &fds, SendFlags::empty()) {
        Ok(_) => Ok(ours),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(Error::Disconnected),
        Err(errno) => Err(Error::Os { op: "sendmsg", errno }),
    }
}

/// What came through the door.
#[derive(Debug)]
pub(crate) enum Visit {
    /// A connection, and the process that it comes from.
    Socket(OwnedFd, Option<OwnedFd>),
    Nobody,
    /// Every outer end is closed: nobody will come any more.
    Shut,
}

pub(crate) fn receive(door: BorrowedFd<'_>) -> Visit {
    let mut fds = Vec::new();
    match socket::recv(door, &mut [0; 8], &mut fds, RecvFlags::DONTWAIT) {
        Ok(received) if received.bytes == 0 => Visit::Shut,
        Ok(_) => {
            let mut fds = fds.into_iter();
            match (fds.next(), fds.next()) {
                (Some(socket), process) => Visit::Socket(socket, process),
                // The descriptors were lost, because this process may open no more: the other
                // side sees its connection end.
                (None, _) => Visit::Nobody,
            }
        }
        Err(Errno::AGAIN) => Visit::Nobody,
        Err(_) => Visit::Shut,
    }
}
