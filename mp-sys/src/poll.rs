//! `poll(2)`: waiting for descriptors.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};

use crate::deadline::relative;
use crate::{Deadline, Errno};

/// What to wait for on one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read, a connection to accept, the end of a process, the end of the stream.
    Readable,
    /// Room to write.
    Writable,
}

impl Interest {
    fn flags(self) -> PollFlags {
        match self {
            Interest::Readable => PollFlags::IN,
            Interest::Writable => PollFlags::OUT,
        }
    }
}

/// `poll`: waits until one of `fds` is ready, and says which are.
///
/// The answer has one place for each descriptor, in order; all are `false` when the deadline
/// passed. A descriptor at its end or in error counts as ready: the next call on it tells why.
///
/// # Blocking
///
/// Waits for the descriptors' other ends. If the process behind one dies, its descriptor is
/// ready. An interrupting signal does not end the wait.
///
/// # Errors
///
/// [`Errno::INVAL`] for more descriptors than `RLIMIT_NOFILE` allows.
///
/// # Examples
///
/// ```
/// use std::{os::fd::AsFd, time::Duration};
/// use mp_sys::{Deadline, poll::{Interest, poll}};
///
/// let (reader, writer) = rustix::pipe::pipe().unwrap();
/// let fds = [(reader.as_fd(), Interest::Readable), (writer.as_fd(), Interest::Writable)];
/// assert_eq!(poll(&fds, None).unwrap(), [false, true]);
/// let soon = Deadline::after(Duration::from_millis(1));
/// assert_eq!(poll(&fds[..1], Some(soon)).unwrap(), [false]);
/// ```
pub fn poll(
    fds: &[(BorrowedFd<'_>, Interest)],
    deadline: Option<Deadline>,
) -> Result<Vec<bool>, Errno> {
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().map(|(fd, interest)| PollFd::from_borrowed_fd(*fd, interest.flags())).collect();
    wait(&mut polled, deadline)?;
    Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect())
}

fn wait(polled: &mut [PollFd<'_>], deadline: Option<Deadline>) -> Result<(), Errno> {
    loop {
        match rustix::event::poll(polled, relative(deadline).as_ref()) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// `poll` of a single descriptor: whether it was ready before the deadline.
///
/// # Blocking
///
/// As [`poll`].
///
/// # Errors
///
/// As [`poll`].
pub fn wait_for(
    fd: BorrowedFd<'_>,
    interest: Interest,
    deadline: Option<Deadline>,
) -> Result<bool, Errno> {
    let mut polled = [PollFd::from_borrowed_fd(fd, interest.flags())];
    wait(&mut polled, deadline)?;
    Ok(!polled[0].revents().is_empty())
}
