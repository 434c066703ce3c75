//! `Wire`: messages over a stream socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use mp_sys::poll::{Interest, wait_for};
use mp_sys::socket::{SendFlags, stream_pair};
use mp_sys::{Deadline, Errno, fd_table};
use rustix::net::{AddressFamily, Shutdown, SocketType, sockopt};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::frame::{Incoming, Outgoing};
use crate::turn::Turns;
use crate::{Address, Error, Message, auth};

/// The longest message that a wire receives unless [`Wire::set_limit`] says otherwise: 1 TiB.
const LIMIT: u64 = 1 << 40;

/// How much a call whose deadline has passed still moves if it need not wait.
const GRACE: u64 = 1 << 20;

/// One end of a stream socket on which whole [`Message`]s travel: the byte layer under
/// [`Connection`](crate::Connection).
///
/// Any thread may send and any may receive, at the same time; two that send, or two that
/// receive, take turns. Two *processes* must not receive from one end (each would get parts of
/// the other's messages), nor send messages longer than 240 bytes into it.
///
/// # Examples
///
/// ```
/// use mp_ipc::{Error, Message, Wire};
///
/// let (here, there) = Wire::pair().unwrap();
/// here.send(&Message::from_bytes(b"hello".to_vec()), None).unwrap();
/// assert_eq!(there.recv(None).unwrap().bytes, b"hello");
///
/// drop(here);
/// assert!(matches!(there.recv(None), Err(Error::Closed)));
/// ```
#[derive(Debug)]
pub struct Wire {
    pub(crate) socket: OwnedFd,
    sending: Turns<Option<Remainder>>,
    pub(crate) receiving: Turns<Box<Incoming>>,
    limit: AtomicU64,
}

/// What is left of a message whose time was up.
#[derive(Debug)]
struct Remainder {
    message: Message,
    sent: usize,
}

impl Wire {
    /// Two ends of a new unix socket pair.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when descriptors run out.
    pub fn pair() -> Result<(Wire, Wire), Error> {
        let (one, other) = stream_pair().map_err(Error::os("socketpair"))?;
        Ok((Wire::from(one), Wire::from(other)))
    }

    /// Sends a message.
    ///
    /// # Blocking
    ///
    /// Waits for room in the socket, which the peer makes by receiving. If the peer dies:
    /// *reports* [`Error::Closed`]. Never raises SIGPIPE.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when nothing of the message has gone by the deadline,
    /// [`Error::Unfinished`] when a part has: the rest stays here and goes before the next
    /// message. [`Error::NoHandles`] for descriptors over TCP, [`Error::Closed`] when the peer is
    /// gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Deadline, Error, Message, Wire};
    ///
    /// let (here, there) = Wire::pair().unwrap();
    /// let long = Message::from_bytes(vec![7; 1_000_000]);
    /// let sent = here.send(&long, Some(Deadline::now()));
    /// assert!(matches!(sent, Err(Error::Unfinished)), "as much as there was room for");
    /// assert!(there.poll(None).unwrap());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| here.flush(None).unwrap());
    ///     assert_eq!(there.recv(None).unwrap().bytes, long.bytes);
    /// });
    /// drop(there);
    /// assert!(matches!(here.send_parts(b"more", &[], None), Err(Error::Closed)));
    /// ```
    pub fn send(&self, message: &Message, deadline: Option<Deadline>) -> Result<(), Error> {
        self.send_parts(&message.bytes, &message.fds, deadline)
    }

    /// As [`send`](Wire::send), from borrowed parts.
    ///
    /// # Blocking
    ///
    /// As [`send`](Wire::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Wire::send).
    pub fn send_parts(
        &self,
        bytes: &[u8],
        fds: &[OwnedFd],
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        if !fds.is_empty() && sockopt::socket_domain(&self.socket) != Ok(AddressFamily::UNIX) {
            return Err(Error::NoHandles);
        }
        let mut rest = self.sending.take(deadline).ok_or(Error::TimedOut)?;
        self.finish(&mut rest, deadline)?;
        let mut frame = Outgoing::new(bytes, fds);
        let result = self.push(&mut frame, deadline);
        if frame.sent > 0 && !matches!(result, Ok(()) | Err(Error::Closed)) {
            self.keep(&mut rest, bytes, fds, frame.sent)?;
            if matches!(result, Err(Error::TimedOut)) {
                return Err(Error::Unfinished);
            }
        }
        result
    }

    /// Sends what is left of a message after [`Error::Unfinished`].
    ///
    /// # Blocking
    ///
    /// As [`send`](Wire::send).
    ///
    /// # Errors
    ///
    /// [`Error::Unfinished`] when there is still something left at the deadline;
    /// [`Error::Closed`] when the peer is gone.
    pub fn flush(&self, deadline: Option<Deadline>) -> Result<(), Error> {
        let mut rest = self.sending.take(deadline).ok_or(Error::Unfinished)?;
        self.finish(&mut rest, deadline).map_err(|error| match error {
            Error::TimedOut => Error::Unfinished,
            other => other,
        })
    }

    /// The address of the other side, if it has one: of a TCP connection, and of a connection to
    /// a unix listener. A client of a unix listener has none, nor has an end of a pair, nor a
    /// connection that TCP has given up.
    ///
    /// Python: `Listener.last_accepted`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Address, Listener, connect_wire};
    ///
    /// let any_port = Address::Tcp("127.0.0.1:0".parse().unwrap());
    /// let listener = Listener::bind(&any_port, None).unwrap();
    /// let client = connect_wire(listener.address(), None, None).unwrap();
    /// assert_eq!(client.peer_address().as_ref(), Some(listener.address()));
    /// let server = listener.accept_wire(None).unwrap();
    /// assert!(matches!(server.peer_address(), Some(Address::Tcp(peer)) if peer.ip().is_loopback()));
    /// ```
    #[doc(alias = "last_accepted")]
    pub fn peer_address(&self) -> Option<Address> {
        Address::of(rustix::net::getpeername(&self.socket).ok()??)
    }

    /// The longest message that this end receives, in bytes.
    pub fn limit(&self) -> u64 {
        // Relaxed: the limit guards nothing but itself.
        self.limit.load(Ordering::Relaxed)
    }

    /// Sets the longest message that this end is ready to receive.
    ///
    /// Memory is taken as bytes arrive, never for a length that is only announced.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Error, Wire};
    ///
    /// let (here, there) = Wire::pair().unwrap();
    /// assert_eq!(there.limit(), 1 << 40);
    /// there.set_limit(4);
    /// here.send_parts(b"five!", &[], None).unwrap();
    /// assert!(matches!(there.recv(None), Err(Error::TooBig { len: 5, max: 4 })));
    /// there.set_limit(5);
    /// assert_eq!(there.recv(None).unwrap().bytes, b"five!", "it has stayed");
    /// ```
    pub fn set_limit(&self, len: u64) {
        // Relaxed: the limit guards nothing but itself.
        self.limit.store(len, Ordering::Relaxed);
    }

    /// Sends the rest of the message before.
    fn finish(
        &self,
        rest: &mut Option<Remainder>,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let Some(Remainder { message, sent }) = rest else { return Ok(()) };
        let mut frame = Outgoing::new(&message.bytes, &message.fds);
        frame.sent = *sent;
        let result = self.push(&mut frame, deadline);
        *sent = frame.sent;
        if result.is_ok() {
            *rest = None;
        }
        result
    }

    fn push(&self, frame: &mut Outgoing<'_>, deadline: Option<Deadline>) -> Result<(), Error> {
        let flags = if deadline.is_some() { SendFlags::DONTWAIT } else { SendFlags::empty() };
        let start = frame.sent;
        while !frame.is_done() {
            match frame.advance(self.socket.as_fd(), flags) {
                Ok(()) if frame.is_done() => {}
                Ok(()) => in_time((frame.sent - start) as u64, deadline)?,
                Err(Errno::AGAIN) => self.wait(Interest::Writable, deadline)?,
                // Perhaps closed by a listener that had asked for a key.
                Err(Errno::PIPE | Errno::CONNRESET) if auth::is_asked(self.socket.as_fd()) => {
                    return Err(Error::Authentication);
                }
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Error::Closed),
                Err(errno) => return Err(Error::Os { op: "sendmsg", errno }),
            }
        }
        Ok(())
    }

    /// Keeps what has not gone.
    #[cold]
    fn keep(
        &self,
        rest: &mut Option<Remainder>,
        bytes: &[u8],
        fds: &[OwnedFd],
        sent: usize,
    ) -> Result<(), Error> {
        match fds.iter().map(OwnedFd::try_clone).collect() {
            Ok(fds) => {
                *rest = Some(Remainder { message: Message { bytes: bytes.to_vec(), fds }, sent });
                Ok(())
            }
            Err(_) => {
                // The message cannot be finished, so the peer must learn that it is cut short.
                let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
                Err(Error::Os { op: "dup", errno: Errno::MFILE })
            }
        }
    }

    pub(crate) fn wait(&self, interest: Interest, deadline: Option<Deadline>) -> Result<(), Error> {
        match wait_for(self.socket.as_fd(), interest, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::TimedOut),
            Err(errno) => Err(Error::Os { op: "poll", errno }),
        }
    }

    /// Runs `act` while nobody sends or receives, unless either is in the middle of a message.
    fn at_rest<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let at_once = Some(Deadline::now());
        let sending = self.sending.take(at_once)?;
        let receiving = self.receiving.take(at_once)?;
        (sending.is_none() && receiving.got() == 0).then(act)
    }
}

/// A peer that keeps bytes flowing does not keep a call going past its deadline.
pub(crate) fn in_time(moved: u64, deadline: Option<Deadline>) -> Result<(), Error> {
    if moved > GRACE && deadline.is_some_and(Deadline::has_passed) {
        return Err(Error::TimedOut);
    }
    Ok(())
}

impl From<OwnedFd> for Wire {
    /// Speaks frames over `socket`, which must be a connected stream socket.
    fn from(socket: OwnedFd) -> Wire {
        Wire {
            socket,
            sending: Turns::default(),
            receiving: Turns::default(),
            limit: AtomicU64::new(LIMIT),
        }
    }
}

impl From<Wire> for OwnedFd {
    fn from(wire: Wire) -> OwnedFd {
        wire.socket
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A handle: the receiver of the message gets a duplicate of this end, with the same limit.
impl Serialize for Wire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pushed = self.at_rest(|| fd_table::push(self.as_fd()));
        let index = pushed
            .ok_or_else(|| ser::Error::custom("this end is in the middle of a message"))?
            .map_err(ser::Error::custom)?;
        (index, self.limit()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wire, D::Error> {
        let (index, limit) = <(u32, u64)>::deserialize(deserializer)?;
        let socket = fd_table::take(index).map_err(de::Error::custom)?;
        if sockopt::socket_type(&socket) != Ok(SocketType::STREAM) {
            return Err(de::Error::custom("the descriptor is no stream socket"));
        }
        let wire = Wire::from(socket);
        wire.set_limit(limit);
        Ok(wire)
    }
}
