//! `Receiver`: values that come.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Wire, decode};

/// The end of a channel that values come out of. A handle, as is
/// [`Connection`](crate::Connection).
///
/// # Examples
///
/// ```
/// let (sender, receiver) = mp_ipc::simplex().unwrap();
/// (1..=3).for_each(|number| sender.send(&number).unwrap());
/// drop(sender);
/// let numbers: Result<Vec<u32>, _> = (&receiver).collect();
/// assert_eq!(numbers.unwrap(), [1, 2, 3], "until the sender is gone");
/// ```
pub struct Receiver<T> {
    wire: Arc<Wire>,
    marker: PhantomData<fn() -> T>,
}

impl<T> Receiver<T> {
    pub(crate) fn over(wire: Arc<Wire>) -> Receiver<T> {
        Receiver { wire, marker: PhantomData }
    }

    /// Receives a message as bytes. Handles that came with it are closed.
    ///
    /// Python: `Connection.recv_bytes()`.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Receiver::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv), but for [`Error::Decode`].
    pub fn recv_bytes(&self) -> Result<Vec<u8>, Error> {
        Ok(self.wire.recv(None)?.bytes)
    }

    /// As [`recv_bytes`](Receiver::recv_bytes), if a message is there.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv), but for [`Error::Decode`].
    pub fn try_recv_bytes(&self) -> Result<Vec<u8>, Error> {
        Ok(self.wire.recv(Some(Deadline::now())).map_err(at_once)?.bytes)
    }

    /// As [`recv_bytes`](Receiver::recv_bytes), waiting for a message no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Receiver::recv), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Receiver::recv_timeout), but for [`Error::Decode`].
    pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>, Error> {
        Ok(self.wire.recv(Some(Deadline::after(timeout)))?.bytes)
    }

    /// Receives a message as bytes into the start of `buffer`, and returns how many they are.
    ///
    /// Python: `Connection.recv_bytes_into(buffer)`.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Receiver::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv); [`Error::BufferTooSmall`], which carries the message, when it
    /// is longer than `buffer`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::Error;
    ///
    /// let (sender, receiver) = mp_ipc::simplex::<()>().unwrap();
    /// sender.send_bytes(b"three").unwrap();
    /// sender.send_bytes(b"three").unwrap();
    /// let mut buffer = *b"........";
    /// assert_eq!(receiver.recv_into(&mut buffer).unwrap(), 5);
    /// assert_eq!(&buffer, b"three...");
    /// match receiver.recv_into(&mut buffer[..2]) {
    ///     Err(Error::BufferTooSmall { message, room: 2 }) => assert_eq!(message, b"three"),
    ///     other => panic!("{other:?}"),
    /// }
    /// ```
    #[doc(alias = "recv_bytes_into")]
    pub fn recv_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.wire.recv_into(buffer, None)
    }

    /// As [`recv_into`](Receiver::recv_into), if a message is there.
    ///
    /// # Errors
    ///
    /// As [`recv_into`](Receiver::recv_into) and [`try_recv`](Receiver::try_recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::Error;
    ///
    /// let (sender, receiver) = mp_ipc::simplex::<()>().unwrap();
    /// let mut buffer = [0; 8];
    /// assert!(matches!(receiver.try_recv_into(&mut buffer), Err(Error::Empty)));
    /// sender.send_bytes(b"three").unwrap();
    /// assert_eq!(receiver.try_recv_into(&mut buffer).unwrap(), 5);
    /// ```
    pub fn try_recv_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.wire.recv_into(buffer, Some(Deadline::now())).map_err(at_once)
    }

    /// As [`recv_into`](Receiver::recv_into), waiting for a message no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Receiver::recv), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`recv_into`](Receiver::recv_into) and [`recv_timeout`](Receiver::recv_timeout).
    pub fn recv_into_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize, Error> {
        self.wire.recv_into(buffer, Some(Deadline::after(timeout)))
    }

    /// Whether there is something to receive, or the other side is closed, within `timeout`.
    ///
    /// Looking takes nothing away. Python: `Connection.poll(timeout)`.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Receiver::recv), until the time is up.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the kernel refuses.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (sender, receiver) = mp_ipc::simplex::<()>().unwrap();
    /// assert!(!receiver.poll(Duration::ZERO).unwrap());
    /// drop(sender);
    /// assert!(receiver.poll(Duration::ZERO).unwrap(), "the end is something to receive");
    /// ```
    pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
        self.wire.poll(Some(Deadline::after(timeout)))
    }

    /// Sets the longest message, in bytes, that this end is ready to receive.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::Error;
    ///
    /// let (sender, receiver) = mp_ipc::simplex::<()>().unwrap();
    /// sender.send_bytes(b"five!").unwrap();
    /// receiver.set_limit(4);
    /// assert!(matches!(receiver.recv_bytes(), Err(Error::TooBig { len: 5, max: 4 })));
    /// receiver.set_limit(5);
    /// assert_eq!(receiver.recv_bytes().unwrap(), b"five!");
    /// ```
    pub fn set_limit(&self, len: u64) {
        self.wire.set_limit(len);
    }

    /// The byte layer below, which has a deadline on each call.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// Receives a value.
    ///
    /// Python: `Connection.recv()`.
    ///
    /// # Blocking
    ///
    /// Waits for the other side to send. If it dies: *reports* [`Error::Closed`] after its last
    /// whole message, or [`Error::Truncated`] if it died in the middle of one.
    ///
    /// # Errors
    ///
    /// Those two; [`Error::Protocol`] when what came is no message; [`Error::Decode`] when it is
    /// not a `T`, and [`Error::Handle`] when a handle of it has not come (the next message is
    /// whole again); [`Error::TooBig`] when it is longer than the
    /// [limit](Receiver::set_limit), in which case it stays; [`Error::Authentication`] when the
    /// other side asks for a key and this one has none.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = mp_ipc::simplex().unwrap();
    /// sender.send(&1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.recv().unwrap(), 1);
    /// assert!(matches!(receiver.recv(), Err(mp_ipc::Error::Closed)));
    /// ```
    pub fn recv(&self) -> Result<T, Error> {
        self.recv_until(None)
    }

    /// Receives a value if one is there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv); [`Error::Empty`] when no whole message is there. What has
    /// come of one is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::Error;
    ///
    /// let (sender, receiver) = mp_ipc::simplex::<u32>().unwrap();
    /// assert!(matches!(receiver.try_recv(), Err(Error::Empty)));
    /// sender.send(&1).unwrap();
    /// assert_eq!(receiver.try_recv().unwrap(), 1);
    /// drop(sender);
    /// assert!(matches!(receiver.try_recv(), Err(Error::Closed)));
    /// ```
    pub fn try_recv(&self) -> Result<T, Error> {
        self.recv_until(Some(Deadline::now())).map_err(at_once)
    }

    /// Receives a value, waiting for it no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`recv`](Receiver::recv), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv); [`Error::TimedOut`] when no whole message came in time. What
    /// has come of one is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_ipc::Error;
    ///
    /// let (sender, receiver) = mp_ipc::simplex::<u32>().unwrap();
    /// let soon = Duration::from_millis(1);
    /// assert!(matches!(receiver.recv_timeout(soon), Err(Error::TimedOut)));
    /// sender.send(&1).unwrap();
    /// assert_eq!(receiver.recv_timeout(soon).unwrap(), 1);
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.recv_until(Some(Deadline::after(timeout)))
    }

    fn recv_until(&self, deadline: Option<Deadline>) -> Result<T, Error> {
        decode(self.wire.recv(deadline)?)
    }
}

/// The error of a call that does not wait.
fn at_once(error: Error) -> Error {
    match error {
        Error::TimedOut => Error::Empty,
        other => other,
    }
}

/// The values that come, until the other side is closed.
impl<T: DeserializeOwned> Iterator for &Receiver<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Result<T, Error>> {
        match self.recv() {
            Err(Error::Closed) => None,
            other => Some(other),
        }
    }
}

impl<T> From<Wire> for Receiver<T> {
    fn from(wire: Wire) -> Receiver<T> {
        Receiver::over(Arc::new(wire))
    }
}

impl<T> AsFd for Receiver<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}

impl<T> AsRawFd for Receiver<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.wire.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Receiver::from)
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.as_fd()).finish()
    }
}
