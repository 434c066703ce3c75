//! The receiving side of a wire.

use std::os::fd::{AsFd, BorrowedFd};

use mp_sys::poll::{Interest, wait_for};
use mp_sys::socket::RecvFlags;
use mp_sys::{Deadline, Errno};

use crate::frame::Incoming;
use crate::wire::in_time;
use crate::{Error, Message, Wire};

impl Wire {
    /// Receives a message.
    ///
    /// # Blocking
    ///
    /// Waits for the peer to send. If the peer dies: *reports* [`Error::Closed`] after its last
    /// whole message, or [`Error::Truncated`] if it died in the middle of one.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] and [`Error::Truncated`], as said; [`Error::Protocol`] when what came is
    /// no frame; [`Error::Authentication`] when it asks for a key. [`Error::TimedOut`]: what has come of a message stays here and counts for the
    /// next call. [`Error::TooBig`]: the message stays, too. [`Error::Os`] with
    /// [`Errno::MFILE`]: the message's descriptors could not be opened, and it is gone; the next
    /// is whole.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_ipc::{Deadline, Error, Wire};
    ///
    /// let (_here, there) = Wire::pair().unwrap();
    /// let soon = Deadline::after(Duration::from_millis(1));
    /// assert!(matches!(there.recv(Some(soon)), Err(Error::TimedOut)));
    /// ```
    pub fn recv(&self, deadline: Option<Deadline>) -> Result<Message, Error> {
        let mut incoming = self.receiving.take(deadline).ok_or(Error::TimedOut)?;
        let limit = self.limit();
        self.pull(&mut incoming, deadline, |incoming, socket, flags| {
            incoming.advance(socket, limit, flags)
        })
    }

    /// Receives the bytes of a message into the start of `buffer`, without a copy on the way, and
    /// says how many they are. Descriptors that came with them are closed.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Wire::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Wire::recv); [`Error::BufferTooSmall`], which carries the message's bytes, when
    /// they are more than `buffer` has room for. After an error `buffer` holds anything.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Deadline, Error, Wire};
    ///
    /// let (here, there) = Wire::pair().unwrap();
    /// let mut buffer = [0; 4];
    /// let now = Some(Deadline::now());
    /// assert!(matches!(there.recv_into(&mut buffer, now), Err(Error::TimedOut)));
    /// here.send_parts(b"abc", &[], None).unwrap();
    /// assert_eq!(there.recv_into(&mut buffer, now).unwrap(), 3);
    /// assert_eq!(&buffer[..3], b"abc");
    /// ```
    pub fn recv_into(&self, buffer: &mut [u8], deadline: Option<Deadline>) -> Result<usize, Error> {
        let mut incoming = self.receiving.take(deadline).ok_or(Error::TimedOut)?;
        let limit = self.limit();
        let len = self.pull(&mut incoming, deadline, |incoming, socket, flags| {
            incoming.advance_head(socket, limit, flags)
        })?;
        let room = buffer.len();
        let Some(buffer) = usize::try_from(len).ok().and_then(|len| buffer.get_mut(..len)) else {
            let message = self.pull(&mut incoming, deadline, |incoming, socket, flags| {
                incoming.advance(socket, limit, flags)
            })?;
            return Err(Error::BufferTooSmall { message: message.bytes, room });
        };
        incoming.lend(buffer);
        let received = self.pull(&mut incoming, deadline, |incoming, socket, flags| {
            incoming.advance_lent(socket, buffer, flags)
        });
        incoming.take_back(buffer);
        received.map(|_| buffer.len())
    }

    /// Takes steps of receiving until one is the last.
    fn pull<R>(
        &self,
        incoming: &mut Incoming,
        deadline: Option<Deadline>,
        mut step: impl FnMut(&mut Incoming, BorrowedFd<'_>, RecvFlags) -> Result<Option<R>, Error>,
    ) -> Result<R, Error> {
        let flags = if deadline.is_some() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        let start = incoming.got();
        loop {
            match step(incoming, self.socket.as_fd(), flags) {
                Ok(Some(last)) => return Ok(last),
                Ok(None) => in_time(incoming.got() - start, deadline)?,
                Err(Error::Os { errno: Errno::AGAIN, .. }) => {
                    self.wait(Interest::Readable, deadline)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether [`recv`](Wire::recv) has something to work on by the deadline: bytes of a message,
    /// or the end.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Wire::recv).
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the kernel refuses.
    pub fn poll(&self, deadline: Option<Deadline>) -> Result<bool, Error> {
        wait_for(self.socket.as_fd(), Interest::Readable, deadline).map_err(Error::os("poll"))
    }
}
