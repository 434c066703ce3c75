//! `Sender`: values that go.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::with_encoded;
use crate::{Error, Wire};

/// The end of a channel that values go into. A handle, as is [`Connection`](crate::Connection).
///
/// # Examples
///
/// ```
/// use mp_ipc::{Error, Sender, simplex};
///
/// // A sender that travels through another one.
/// let (outer, carrier) = simplex::<Sender<u8>>().unwrap();
/// let (sender, receiver) = simplex::<u8>().unwrap();
/// outer.send(&sender).unwrap();
/// let same = carrier.recv().unwrap();
/// same.send(&1).unwrap();
/// sender.send_bytes(b"two").unwrap();
/// assert_eq!((receiver.recv().unwrap(), receiver.recv_bytes().unwrap()), (1, b"two".to_vec()));
/// drop(receiver);
/// assert!(matches!(same.send_bytes(b""), Err(Error::Closed)));
/// ```
pub struct Sender<T> {
    wire: Arc<Wire>,
    marker: PhantomData<fn(T)>,
}

impl<T> Sender<T> {
    pub(crate) fn over(wire: Arc<Wire>) -> Sender<T> {
        Sender { wire, marker: PhantomData }
    }

    /// Sends bytes as they are; the other side takes them with `recv_bytes`.
    ///
    /// Python: `Connection.send_bytes(buffer)`.
    ///
    /// # Blocking
    ///
    /// As [`send`](Sender::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send), but for [`Error::Encode`].
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        self.wire.send_parts(bytes, &[], None)
    }

    /// As [`send_bytes`](Sender::send_bytes), if there is room.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Sender::try_send), but for [`Error::Encode`].
    pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        self.wire.send_parts(bytes, &[], Some(Deadline::now())).map_err(at_once)
    }

    /// As [`send_bytes`](Sender::send_bytes), waiting for room no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`send`](Sender::send), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`send_timeout`](Sender::send_timeout), but for [`Error::Encode`].
    pub fn send_bytes_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<(), Error> {
        self.wire.send_parts(bytes, &[], Some(Deadline::after(timeout)))
    }

    /// Sends what is left of a message after [`Error::Unfinished`].
    ///
    /// # Blocking
    ///
    /// As [`send`](Sender::send).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the other side is gone.
    pub fn flush(&self) -> Result<(), Error> {
        self.wire.flush(None)
    }

    /// The byte layer below, which has a deadline on each call.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }
}

impl<T: Serialize> Sender<T> {
    /// Sends a value.
    ///
    /// Python: `Connection.send(obj)`.
    ///
    /// # Blocking
    ///
    /// Waits for room in the socket, which the other side makes by receiving. If it dies:
    /// *reports* [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] and [`Error::Handle`] before anything is sent, [`Error::Closed`] when
    /// the other side is gone, [`Error::NoHandles`] for a handle over TCP.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = mp_ipc::simplex().unwrap();
    /// drop(receiver);
    /// assert!(matches!(sender.send(&1), Err(mp_ipc::Error::Closed)));
    /// ```
    pub fn send(&self, value: &T) -> Result<(), Error> {
        self.send_until(value, None)
    }

    /// Sends a value if there is room.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send); [`Error::Full`] when there is no room at all;
    /// [`Error::Unfinished`] when there is room for a part: see [`flush`](Sender::flush).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::Error;
    ///
    /// let (sender, receiver) = mp_ipc::simplex().unwrap();
    /// let mut sent = 0;
    /// while sender.try_send(&sent).is_ok() {
    ///     sent += 1;
    /// }
    /// assert!((0..sent).all(|number| receiver.recv().unwrap() == number));
    /// assert!(matches!(receiver.try_recv(), Err(Error::Empty)), "the one that failed never went");
    /// ```
    pub fn try_send(&self, value: &T) -> Result<(), Error> {
        self.send_until(value, Some(Deadline::now())).map_err(at_once)
    }

    /// Sends a value, waiting for room no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`send`](Sender::send), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send); [`Error::TimedOut`] when nothing of it has gone in time,
    /// [`Error::Unfinished`] when a part has: see [`flush`](Sender::flush).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{thread, time::Duration};
    /// use mp_ipc::Error;
    ///
    /// let (sender, receiver) = mp_ipc::simplex::<Vec<u8>>().unwrap();
    /// let big = vec![7; 1_000_000];
    /// let sent = sender.send_timeout(&big, Duration::from_millis(1));
    /// assert!(matches!(sent, Err(Error::Unfinished)));
    /// let reader = thread::spawn(move || receiver.recv());
    /// sender.flush().unwrap();
    /// assert_eq!(reader.join().unwrap().unwrap(), big);
    /// ```
    pub fn send_timeout(&self, value: &T, timeout: Duration) -> Result<(), Error> {
        self.send_until(value, Some(Deadline::after(timeout)))
    }

    fn send_until(&self, value: &T, deadline: Option<Deadline>) -> Result<(), Error> {
        with_encoded(value, |bytes, fds| self.wire.send_parts(bytes, fds, deadline))
    }
}

/// The error of a call that does not wait.
fn at_once(error: Error) -> Error {
    match error {
        Error::TimedOut => Error::Full,
        other => other,
    }
}

impl<T> From<Wire> for Sender<T> {
    fn from(wire: Wire) -> Sender<T> {
        Sender::over(Arc::new(wire))
    }
}

impl<T> AsFd for Sender<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}

impl<T> AsRawFd for Sender<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.wire.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Sender::from)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.as_fd()).finish()
    }
}
