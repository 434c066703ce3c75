//! `Connection`: values in both directions.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Address, Error, Receiver, Sender, Wire};

/// One end of a two-way connection that sends `S` and receives `R`.
///
/// It is a handle: it can be an argument, or part of what is sent. One process at a time should
/// use an end; within it, any threads may. It is [`AsFd`], and nothing is ever buffered outside
/// the kernel, so it can stand in `poll`, epoll, mio or tokio: when it is readable,
/// [`try_recv`](Connection::try_recv) until [`Error::Empty`].
///
/// Python: `multiprocessing.connection.Connection`.
///
/// # Examples
///
/// An end that travels through another connection:
///
/// ```
/// use mp_ipc::{Connection, Error, pipe};
///
/// let (carrier, far) = pipe::<Connection<u8>, ()>().unwrap();
/// let (one, other) = pipe::<u8, u8>().unwrap();
/// carrier.send(&other).unwrap();
/// drop(other);
///
/// let other = far.recv().unwrap();
/// other.send(&7).unwrap();
/// drop(other);
/// assert_eq!(one.recv().unwrap(), 7);
/// assert!(matches!(one.recv(), Err(Error::Closed)));
/// ```
///
/// Values and bytes, with and without waiting:
///
/// ```
/// use std::time::Duration;
/// use mp_ipc::{Error, pipe};
///
/// let (here, there) = pipe::<u8, String>().unwrap();
/// let soon = Duration::from_millis(1);
/// assert!(!here.poll(soon).unwrap());
/// assert!(matches!(here.try_recv(), Err(Error::Empty)));
/// assert!(matches!(here.recv_timeout(soon), Err(Error::TimedOut)));
///
/// there.send_bytes(b"raw").unwrap();
/// assert_eq!(here.recv_bytes().unwrap(), b"raw");
/// there.send_timeout(&"text".to_string(), soon).unwrap();
/// here.set_limit(2);
/// assert!(matches!(here.recv(), Err(Error::TooBig { max: 2, .. })));
/// assert_eq!(here.wire().limit(), 2);
/// here.set_limit(100);
/// let mut buffer = [0; 8];
/// assert_eq!(here.recv_into(&mut buffer).unwrap(), 5, "a length, and four letters");
///
/// let (sender, receiver) = here.split();
/// sender.try_send(&7).unwrap();
/// sender.flush().unwrap();
/// assert_eq!(there.recv().unwrap(), 7);
/// drop((sender, receiver));
/// assert!(matches!(there.recv(), Err(Error::Closed)));
/// assert!(matches!(there.send(&String::new()), Err(Error::Closed)));
/// ```
pub struct Connection<S, R = S> {
    sender: Sender<S>,
    receiver: Receiver<R>,
}

impl<S, R> Connection<S, R> {
    /// The two directions, each by itself.
    pub fn split(self) -> (Sender<S>, Receiver<R>) {
        (self.sender, self.receiver)
    }

    /// Sends bytes as they are: [`Sender::send_bytes`].
    ///
    /// # Blocking
    ///
    /// As [`send`](Connection::send).
    ///
    /// # Errors
    ///
    /// As [`Sender::send_bytes`].
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        self.sender.send_bytes(bytes)
    }

    /// As [`Sender::try_send_bytes`].
    ///
    /// # Errors
    ///
    /// As [`Sender::try_send_bytes`].
    pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        self.sender.try_send_bytes(bytes)
    }

    /// As [`Sender::send_bytes_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`send`](Connection::send), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`Sender::send_bytes_timeout`].
    pub fn send_bytes_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<(), Error> {
        self.sender.send_bytes_timeout(bytes, timeout)
    }

    /// Receives a message as bytes: [`Receiver::recv_bytes`].
    ///
    /// # Blocking
    ///
    /// As [`recv`](Connection::recv).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_bytes`].
    pub fn recv_bytes(&self) -> Result<Vec<u8>, Error> {
        self.receiver.recv_bytes()
    }

    /// As [`Receiver::try_recv_bytes`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::try_recv_bytes`].
    pub fn try_recv_bytes(&self) -> Result<Vec<u8>, Error> {
        self.receiver.try_recv_bytes()
    }

    /// As [`Receiver::recv_bytes_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`recv`](Connection::recv), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_bytes_timeout`].
    pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>, Error> {
        self.receiver.recv_bytes_timeout(timeout)
    }

    /// Receives a message as bytes into `buffer`: [`Receiver::recv_into`].
    ///
    /// # Blocking
    ///
    /// As [`recv`](Connection::recv).
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_into`].
    #[doc(alias = "recv_bytes_into")]
    pub fn recv_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.receiver.recv_into(buffer)
    }

    /// As [`Receiver::try_recv_into`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::try_recv_into`].
    pub fn try_recv_into(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.receiver.try_recv_into(buffer)
    }

    /// As [`Receiver::recv_into_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`recv`](Connection::recv), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_into_timeout`].
    pub fn recv_into_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize, Error> {
        self.receiver.recv_into_timeout(buffer, timeout)
    }

    /// Whether there is something to receive within `timeout`: [`Receiver::poll`].
    ///
    /// # Blocking
    ///
    /// As [`recv`](Connection::recv), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`Receiver::poll`].
    pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
        self.receiver.poll(timeout)
    }

    /// Sends what is left of a message after [`Error::Unfinished`].
    ///
    /// # Blocking
    ///
    /// As [`send`](Connection::send).
    ///
    /// # Errors
    ///
    /// As [`Sender::flush`].
    pub fn flush(&self) -> Result<(), Error> {
        self.sender.flush()
    }

    /// Sets the longest message, in bytes, that this end is ready to receive.
    pub fn set_limit(&self, len: u64) {
        self.receiver.set_limit(len);
    }

    /// The address of the other side, if it has one: [`Wire::peer_address`].
    #[doc(alias = "last_accepted")]
    pub fn peer_address(&self) -> Option<Address> {
        self.wire().peer_address()
    }

    /// The byte layer below, which has a deadline on each call.
    pub fn wire(&self) -> &Wire {
        self.receiver.wire()
    }
}

impl<S: Serialize, R> Connection<S, R> {
    /// Sends a value: [`Sender::send`].
    ///
    /// # Blocking
    ///
    /// Waits for room in the socket, which the other side makes by receiving. If it dies:
    /// *reports* [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub fn send(&self, value: &S) -> Result<(), Error> {
        self.sender.send(value)
    }

    /// Sends a value if there is room: [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// As [`Sender::try_send`].
    pub fn try_send(&self, value: &S) -> Result<(), Error> {
        self.sender.try_send(value)
    }

    /// Sends a value, waiting no longer than `timeout`: [`Sender::send_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`send`](Connection::send), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`Sender::send_timeout`].
    pub fn send_timeout(&self, value: &S, timeout: Duration) -> Result<(), Error> {
        self.sender.send_timeout(value, timeout)
    }
}

impl<S, R: DeserializeOwned> Connection<S, R> {
    /// Receives a value: [`Receiver::recv`].
    ///
    /// # Blocking
    ///
    /// Waits for the other side to send. If it dies: *reports* [`Error::Closed`] after its last
    /// whole message, or [`Error::Truncated`] if it died in the middle of one.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`].
    pub fn recv(&self) -> Result<R, Error> {
        self.receiver.recv()
    }

    /// Receives a value if one is there: [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::try_recv`].
    pub fn try_recv(&self) -> Result<R, Error> {
        self.receiver.try_recv()
    }

    /// Receives a value, waiting no longer than `timeout`: [`Receiver::recv_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`recv`](Connection::recv), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv_timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R, Error> {
        self.receiver.recv_timeout(timeout)
    }
}

impl<S, R> From<Wire> for Connection<S, R> {
    fn from(wire: Wire) -> Connection<S, R> {
        let wire = Arc::new(wire);
        Connection { sender: Sender::over(wire.clone()), receiver: Receiver::over(wire) }
    }
}

impl<S, R> AsFd for Connection<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire().as_fd()
    }
}

impl<S, R> AsRawFd for Connection<S, R> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<S, R> Serialize for Connection<S, R> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        self.wire().serialize(serializer)
    }
}

impl<'de, S, R> Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Connection::from)
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.as_fd()).finish()
    }
}
