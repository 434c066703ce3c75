//! `epoll(7)`: waiting for many descriptors, again and again.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::deadline::relative;
use crate::{Deadline, Errno};

/// What to be told about a descriptor. Its end or an error is always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Bytes to read, or the end of the stream.
    pub readable: bool,
    /// Room to write.
    pub writable: bool,
}

impl Watch {
    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::RDHUP;
        flags.set(EventFlags::IN, self.readable);
        flags.set(EventFlags::OUT, self.writable);
        flags
    }
}

/// What [`Epoll::wait`] tells about one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number under which the descriptor was added.
    pub token: u64,
    /// There is something to read, if only the end.
    pub readable: bool,
    /// There is room to write, or writing would fail at once.
    pub writable: bool,
    /// The other side is gone, or the descriptor is in error.
    pub ended: bool,
}

/// A set of descriptors to wait for, kept by the kernel.
///
/// # Examples
///
/// ```
/// use mp_sys::epoll::{Epoll, Watch};
///
/// let (reader, writer) = rustix::pipe::pipe().unwrap();
/// let epoll = Epoll::new().unwrap();
/// epoll.add(&reader, 7, Watch { readable: true, writable: false }).unwrap();
/// rustix::io::write(&writer, b"x").unwrap();
/// let ready = epoll.wait(8, None).unwrap();
/// assert_eq!((ready.len(), ready[0].token, ready[0].ended), (1, 7, false));
/// ```
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// `epoll_create1(EPOLL_CLOEXEC)`: an empty set.
    ///
    /// # Errors
    ///
    /// [`Errno::MFILE`] or [`Errno::NFILE`] when descriptors run out.
    pub fn new() -> Result<Epoll, Errno> {
        epoll::create(CreateFlags::CLOEXEC).map(Epoll)
    }

    /// `EPOLL_CTL_ADD`: adds `fd` under the number `token`.
    ///
    /// Take it out with [`remove`](Epoll::remove) before closing it: what the kernel watches is
    /// the open file, which lives on in any duplicate.
    ///
    /// # Errors
    ///
    /// [`Errno::EXIST`] if it is there already, [`Errno::PERM`] for a plain file.
    pub fn add(&self, fd: impl AsFd, token: u64, watch: Watch) -> Result<(), Errno> {
        epoll::add(&self.0, fd, EventData::new_u64(token), watch.flags())
    }

    /// `EPOLL_CTL_MOD`: changes what to be told about `fd`.
    ///
    /// # Errors
    ///
    /// [`Errno::NOENT`] if it was not added.
    pub fn change(&self, fd: impl AsFd, token: u64, watch: Watch) -> Result<(), Errno> {
        epoll::modify(&self.0, fd, EventData::new_u64(token), watch.flags())
    }

    /// `EPOLL_CTL_DEL`: takes `fd` out.
    ///
    /// # Errors
    ///
    /// [`Errno::NOENT`] if it was not added.
    pub fn remove(&self, fd: impl AsFd) -> Result<(), Errno> {
        epoll::delete(&self.0, fd)
    }

    /// `epoll_pwait2`: waits until some descriptor is ready, and tells of at most `most` of them.
    ///
    /// The answer is empty when the deadline passed.
    ///
    /// # Blocking
    ///
    /// As [`poll`](crate::poll::poll).
    ///
    /// # Errors
    ///
    /// None that a valid set could meet.
    pub fn wait(&self, most: usize, deadline: Option<Deadline>) -> Result<Vec<Ready>, Errno> {
        let mut events: Vec<Event> = Vec::with_capacity(most.max(1));
        loop {
            let buffer = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.0, buffer, relative(deadline).as_ref()) {
                Ok(_) => return Ok(events.iter().map(ready).collect()),
                Err(Errno::INTR) => events.clear(),
                Err(errno) => return Err(errno),
            }
        }
    }
}

fn ready(event: &Event) -> Ready {
    let flags = event.flags;
    let ended = flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP);
    Ready {
        token: event.data.u64(),
        readable: ended || flags.contains(EventFlags::IN),
        writable: ended || flags.contains(EventFlags::OUT),
        ended,
    }
}
