//! `Listener`: connections from processes that are not our children.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use mp_sys::poll::{Interest, poll};
use mp_sys::{Deadline, Errno, fd_table};
use rustix::net::{self, SocketFlags, SocketType, sockopt};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::auth::Handshake;
use crate::socket_file::{SocketFile, bind_anew};
use crate::turn::Turns;
use crate::{Address, Connection, Error, Key, Wire};

/// How many may be waiting to be accepted, unless the caller says otherwise.
const BACKLOG: u32 = 128;
/// How many strangers may be in the middle of a handshake; one more, and the oldest is dropped.
const SLOTS: usize = 64;
/// How long a stranger may take for its handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for other processes to [`connect`](crate::connect).
///
/// With a key, both sides must prove that they know it before anything else is read. A stranger
/// who sends nothing, garbage, or half a handshake takes one of 64 places for at most five
/// seconds and holds up nobody; when the places run out, the one that came first is dropped.
///
/// A listener is a handle: another process can be given it, and either accepts. The file of a
/// unix socket is removed when the listener is dropped in the process that bound it.
///
/// Python: `multiprocessing.connection.Listener`.
///
/// # Examples
///
/// ```
/// use mp_ipc::{Connection, Key, Listener, connect};
///
/// # fn main() -> Result<(), mp_ipc::Error> {
/// let key = Key::random()?;
/// let listener = Listener::private(Some(key.clone()))?;
/// let address = listener.address().clone();
/// let client = std::thread::spawn(move || {
///     let connection: Connection<u32> = connect(&address, Some(&key))?;
///     connection.send(&7)
/// });
/// let connection: Connection<u32> = listener.accept()?;
/// assert_eq!(connection.recv()?, 7);
/// client.join().unwrap()
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    // Dropped first: nobody finds a file whose socket is closed.
    _file: Option<SocketFile>,
    socket: OwnedFd,
    address: Address,
    key: Option<Key>,
    strangers: Turns<Vec<Stranger>>,
}

/// One who has connected and not yet shown that it knows the key.
#[derive(Debug)]
struct Stranger {
    socket: OwnedFd,
    handshake: Handshake,
    until: Deadline,
}

impl Listener {
    /// Listens at `address`.
    ///
    /// A socket file that lies there although no process has its socket any more, since its
    /// creator was killed, is replaced. Of several who do that at the same time one succeeds.
    ///
    /// # Blocking
    ///
    /// Only where such a file lies: waits for others who replace one in the same folder, for a
    /// second at most. If one of them dies: *recovers*.
    ///
    /// # Errors
    ///
    /// [`Error::AddressInUse`] when somebody listens there already, or a file lies there that is
    /// no socket or cannot be removed; [`Error::AddressTooLong`] for a unix path or name above 107
    /// bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Address, Error, Listener};
    ///
    /// let any_port = Address::Tcp("127.0.0.1:0".parse().unwrap());
    /// let listener = Listener::bind(&any_port, None).unwrap();
    /// assert_ne!(listener.address(), &any_port, "it says which port it got");
    /// let again = Listener::bind(listener.address(), None);
    /// assert!(matches!(again, Err(Error::AddressInUse(_))));
    /// ```
    pub fn bind(address: &Address, key: Option<Key>) -> Result<Listener, Error> {
        Listener::bind_with_backlog(address, key, BACKLOG)
    }

    /// Listens at `address`, where at most `backlog` wait to be accepted before others wait to
    /// connect.
    ///
    /// # Blocking
    ///
    /// As [`bind`](Listener::bind).
    ///
    /// # Errors
    ///
    /// As [`bind`](Listener::bind).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_ipc::{Address, Error, Listener, connect, connect_timeout};
    ///
    /// let name = format!("mp-ipc backlog {}", std::process::id());
    /// let listener = Listener::bind_with_backlog(&Address::Abstract(name), None, 0).unwrap();
    /// let first = connect::<(), ()>(listener.address(), None).unwrap();
    /// let soon = Duration::from_millis(1);
    /// let second = connect_timeout::<(), ()>(listener.address(), None, soon);
    /// assert!(matches!(second, Err(Error::TimedOut)), "the first one waits to be accepted");
    /// ```
    pub fn bind_with_backlog(
        address: &Address,
        key: Option<Key>,
        backlog: u32,
    ) -> Result<Listener, Error> {
        Listener::listen(address, key, backlog, None)
    }

    /// Listens at a fresh unix socket in a folder of its own that only this user can enter.
    ///
    /// If this process is killed, the socket lies there until the next [`sweep`](Listener::sweep).
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the folder cannot be made.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Address, Listener};
    ///
    /// let listener = Listener::private(None).unwrap();
    /// let Address::Unix(path) = listener.address().clone() else { unreachable!() };
    /// assert!(path.exists());
    /// drop(listener);
    /// assert!(!path.exists());
    /// ```
    pub fn private(key: Option<Key>) -> Result<Listener, Error> {
        let file = SocketFile::private()?;
        let address = Address::Unix(file.path().to_owned());
        Listener::listen(&address, key, BACKLOG, Some(file))
    }

    /// Removes the sockets of [private](Listener::private) listeners whose creators were killed,
    /// and returns their folders. The first `private` of a process does it too.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the folder of temporary files cannot be read.
    pub fn sweep() -> Result<Vec<PathBuf>, Error> {
        crate::socket_file::sweep()
    }

    /// Where this listens; for TCP with the real port.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for the next connection.
    ///
    /// # Blocking
    ///
    /// Waits for a client, and with a key for its proof. A client that dies or says nothing is
    /// dropped, and others are served meanwhile (*recovers*).
    ///
    /// # Errors
    ///
    /// [`Error::Authentication`] when a client had another key, or none: it has been told so and
    /// dropped, and the next call waits for the next. [`Error::Os`] when descriptors run out.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Error, Key, Listener, connect};
    ///
    /// let listener = Listener::private(Some(Key::random().unwrap())).unwrap();
    /// let address = listener.address().clone();
    /// let stranger = std::thread::spawn(move || connect::<(), ()>(&address, Some(&Key::random()?)));
    /// assert!(matches!(listener.accept::<(), ()>(), Err(Error::Authentication)));
    /// assert!(matches!(stranger.join().unwrap(), Err(Error::Authentication)), "both sides know");
    /// ```
    pub fn accept<S, R>(&self) -> Result<Connection<S, R>, Error> {
        self.accept_wire(None).map(Connection::from)
    }

    /// Takes the next connection if one is ready. Progress of handshakes is kept.
    ///
    /// # Errors
    ///
    /// As [`accept`](Listener::accept); [`Error::Empty`] when none is ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Error, Listener, connect};
    ///
    /// let listener = Listener::private(None).unwrap();
    /// assert!(matches!(listener.try_accept::<(), ()>(), Err(Error::Empty)));
    /// let client = connect::<u8, ()>(listener.address(), None).unwrap();
    /// let server = listener.try_accept::<(), u8>().unwrap();
    /// client.send(&7).unwrap();
    /// assert_eq!(server.recv().unwrap(), 7);
    /// ```
    pub fn try_accept<S, R>(&self) -> Result<Connection<S, R>, Error> {
        self.accept_wire(Some(Deadline::now())).map(Connection::from).map_err(|error| match error {
            Error::TimedOut => Error::Empty,
            other => other,
        })
    }

    /// Waits for the next connection no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`accept`](Listener::accept), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`accept`](Listener::accept); [`Error::TimedOut`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_ipc::{Error, Listener};
    ///
    /// let listener = Listener::private(None).unwrap();
    /// let nobody = listener.accept_timeout::<(), ()>(Duration::from_millis(1));
    /// assert!(matches!(nobody, Err(Error::TimedOut)));
    /// ```
    pub fn accept_timeout<S, R>(&self, timeout: Duration) -> Result<Connection<S, R>, Error> {
        self.accept_wire(Some(Deadline::after(timeout))).map(Connection::from)
    }

    /// As [`accept`](Listener::accept), for the byte layer.
    ///
    /// # Blocking
    ///
    /// As [`accept`](Listener::accept), until the deadline.
    ///
    /// # Errors
    ///
    /// As [`accept_timeout`](Listener::accept_timeout).
    pub fn accept_wire(&self, deadline: Option<Deadline>) -> Result<Wire, Error> {
        let mut strangers = self.strangers.take(deadline).ok_or(Error::TimedOut)?;
        loop {
            // A bounded number at a time: a crowd at the door does not keep those inside waiting.
            for _ in 0..SLOTS {
                let Some(socket) = self.next_socket()? else { break };
                if self.key.is_none() {
                    return Ok(Wire::from(socket));
                }
                if strangers.len() == SLOTS {
                    // They stand in the order of their coming.
                    strangers.remove(0);
                }
                // One that is gone already, or cannot be written to, is not worth a place.
                if let Ok(handshake) = Handshake::begin(socket.as_fd()) {
                    let until = Deadline::after(PATIENCE);
                    strangers.push(Stranger { socket, handshake, until });
                }
            }
            if let Some(friend) = self.next_friend(&mut strangers)? {
                return Ok(friend);
            }
            self.sleep(&strangers, deadline)?;
        }
    }

    fn listen(
        address: &Address,
        key: Option<Key>,
        backlog: u32,
        file: Option<SocketFile>,
    ) -> Result<Listener, Error> {
        let any = address.any()?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(address.family(), SocketType::STREAM, flags, None)
            .map_err(Error::os("socket"))?;
        if matches!(address, Address::Tcp(_)) {
            // Connections that lately ended here do not keep the address from us.
            sockopt::set_socket_reuseaddr(&socket, true).map_err(Error::os("setsockopt"))?;
        }
        let failed = |op| {
            move |errno| match errno {
                Errno::ADDRINUSE => Error::AddressInUse(address.clone()),
                errno => Error::Os { op, errno },
            }
        };
        let bind = || net::bind(&socket, &any);
        let bound = match (bind(), address) {
            (Err(Errno::ADDRINUSE), Address::Unix(path)) => bind_anew(path, &any, bind),
            (bound, _) => bound,
        };
        bound.map_err(failed("bind"))?;
        // Not before: until it is bound, the file is somebody else's.
        let file = file.or_else(|| match address {
            Address::Unix(path) => Some(SocketFile::at(path)),
            _ => None,
        });
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        net::listen(&socket, backlog).map_err(failed("listen"))?;
        let name = net::getsockname(&socket).map_err(Error::os("getsockname"))?;
        let address = Address::of(name).unwrap_or_else(|| address.clone());
        Ok(Listener { _file: file, socket, address, key, strangers: Turns::default() })
    }

    /// The next that has connected.
    fn next_socket(&self) -> Result<Option<OwnedFd>, Error> {
        loop {
            match net::accept_with(&self.socket, SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    if matches!(self.address, Address::Tcp(_)) {
                        // It may be gone already; then reading it will tell.
                        let _ = sockopt::set_tcp_nodelay(&socket, true);
                    }
                    return Ok(Some(socket));
                }
                Err(Errno::AGAIN) => return Ok(None),
                // Of one that gave up while it waited (accept(2)).
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => {}
                Err(errno) => return Err(Error::Os { op: "accept", errno }),
            }
        }
    }

    /// The first that proves that it knows the key. Drops those who cannot any more.
    fn next_friend(&self, strangers: &mut Vec<Stranger>) -> Result<Option<Wire>, Error> {
        let Some(key) = &self.key else { return Ok(None) };
        let mut at = 0;
        while let Some(stranger) = strangers.get_mut(at) {
            match stranger.handshake.advance(stranger.socket.as_fd(), key) {
                Ok(true) => return Ok(Some(Wire::from(strangers.remove(at).socket))),
                Ok(false) if !stranger.until.has_passed() => at += 1,
                Err(Error::Authentication) => {
                    strangers.remove(at);
                    return Err(Error::Authentication);
                }
                Ok(false) | Err(_) => drop(strangers.remove(at)),
            }
        }
        Ok(None)
    }

    /// Until somebody comes or goes on, a stranger's time is up, or the caller's.
    fn sleep(&self, strangers: &[Stranger], deadline: Option<Deadline>) -> Result<(), Error> {
        if deadline.is_some_and(Deadline::has_passed) {
            return Err(Error::TimedOut);
        }
        let mut fds = vec![(self.socket.as_fd(), Interest::Readable)];
        fds.extend(strangers.iter().map(|one| (one.socket.as_fd(), Interest::Readable)));
        let first = strangers.iter().map(|one| one.until).min();
        let until = first.map_or(deadline, |first| Some(first.or_earlier(deadline)));
        poll(&fds, until).map_err(Error::os("poll"))?;
        Ok(())
    }
}

/// Readable when somebody has connected. With a key, what comes after that (the handshake) needs
/// calls of [`accept_timeout`](Listener::accept_timeout) or [`try_accept`](Listener::try_accept).
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A handle: the receiver of the message accepts at the same address, with the same key.
impl Serialize for Listener {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = fd_table::push(self.as_fd()).map_err(ser::Error::custom)?;
        (index, &self.address, &self.key).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Listener {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listener, D::Error> {
        let (index, address, key) = <(u32, Address, Option<Key>)>::deserialize(deserializer)?;
        let socket = fd_table::take(index).map_err(de::Error::custom)?;
        if sockopt::socket_acceptconn(&socket) != Ok(true) {
            return Err(de::Error::custom("the descriptor is no listening socket"));
        }
        Ok(Listener { _file: None, socket, address, key, strangers: Turns::default() })
    }
}
