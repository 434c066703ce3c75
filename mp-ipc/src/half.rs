//! `simplex`, `Sender` and `Receiver`: values in one direction.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Wire, decode, encode};

/// Makes a channel in one direction: what goes into the [`Sender`] comes out of the
/// [`Receiver`]. Each end can be sent to another process.
///
/// Python: `Pipe(duplex=False)`, which returns them in the other order.
///
/// # Errors
///
/// [`Error::Os`] when descriptors run out.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = mp_ipc::simplex().unwrap();
/// sender.send(&"hello".to_string()).unwrap();
/// assert_eq!(receiver.recv().unwrap(), "hello");
/// ```
///
/// The wrong direction does not compile:
///
/// ```compile_fail,E0599
/// let (sender, _receiver) = mp_ipc::simplex::<u32>().unwrap();
/// sender.recv();
/// ```
///
/// ```compile_fail,E0599
/// let (_sender, receiver) = mp_ipc::simplex::<u32>().unwrap();
/// receiver.send(&1);
/// ```
pub fn simplex<T>() -> Result<(Sender<T>, Receiver<T>), Error> {
    let (one, other) = Wire::pair()?;
    Ok((Sender::over(Arc::new(one)), Receiver::over(Arc::new(other))))
}

/// The end of a channel that values go into. A handle, as is [`Connection`](crate::Connection).
pub struct Sender<T> {
    wire: Arc<Wire>,
    marker: PhantomData<fn(T)>,
}

/// The end of a channel that values come out of. A handle, as is
/// [`Connection`](crate::Connection).
pub struct Receiver<T> {
    wire: Arc<Wire>,
    marker: PhantomData<fn() -> T>,
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
        self.send_until(value, Some(Deadline::now())).map_err(|error| match error {
            Error::TimedOut => Error::Full,
            other => other,
        })
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
        self.wire.send(&encode(value)?, deadline)
    }
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
        let message = self.recv_bytes()?;
        match buffer.get_mut(..message.len()) {
            Some(start) => start.copy_from_slice(&message),
            None => return Err(Error::BufferTooSmall { message, room: buffer.len() }),
        }
        Ok(message.len())
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
    /// Those two; [`Error::Decode`] when what came is not a `T` (the next message is whole
    /// again); [`Error::TooBig`] when it is longer than the [limit](Receiver::set_limit), in
    /// which case it stays.
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
    pub fn try_recv(&self) -> Result<T, Error> {
        self.recv_until(Some(Deadline::now())).map_err(|error| match error {
            Error::TimedOut => Error::Empty,
            other => other,
        })
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
