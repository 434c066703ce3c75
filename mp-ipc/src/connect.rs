//! `connect`: the other side of a listener.

use std::os::fd::AsFd;
use std::time::Duration;

use mp_sys::poll::{Interest, wait_for};
use mp_sys::{Deadline, Errno};
use rustix::net::{self, SocketFlags, SocketType, sockopt};

use crate::{Address, Connection, Error, Key, Wire, auth};

/// Connects to the [`Listener`](crate::Listener) at `address`.
///
/// With a key, both sides prove to one another that they know it. Without one the connection is
/// made even before the listener accepts it, and what is sent meanwhile is kept.
///
/// Python: `multiprocessing.connection.Client(address, authkey=key)`.
///
/// # Blocking
///
/// Waits for room among those who wait to be accepted, and with a key for the listener to call
/// `accept`. If the listener dies: *reports* [`Error::Closed`].
///
/// # Errors
///
/// [`Error::Os`] with [`Errno::CONNREFUSED`] or [`Errno::NOENT`] where nobody listens;
/// [`Error::Authentication`] when the keys differ, or one side has none (a listener without one
/// says so when it next receives or sends; this side without one is told when it next receives);
/// [`Error::Closed`] when the listener gave this
/// client up, which is one of a crowd.
///
/// # Examples
///
/// ```
/// use mp_ipc::{Connection, Listener, connect};
///
/// let listener = Listener::private(None).unwrap();
/// let client: Connection<String> = connect(listener.address(), None).unwrap();
/// client.send(&"before it was accepted".to_string()).unwrap();
/// let server: Connection<String> = listener.accept().unwrap();
/// assert_eq!(server.recv().unwrap(), "before it was accepted");
///
/// let address = listener.address().clone();
/// drop(listener);
/// assert!(connect::<(), ()>(&address, None).is_err());
/// ```
pub fn connect<S, R>(address: &Address, key: Option<&Key>) -> Result<Connection<S, R>, Error> {
    connect_wire(address, key, None).map(Connection::from)
}

/// Connects to the [`Listener`](crate::Listener) at `address`, with all that belongs to it
/// within `timeout`.
///
/// # Blocking
///
/// As [`connect`], until the time is up.
///
/// # Errors
///
/// As [`connect`]; [`Error::TimedOut`] also when the listener has no key and neither receives nor
/// sends.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_ipc::{Error, Key, Listener, connect_timeout};
///
/// let key = Key::random().unwrap();
/// let busy = Listener::private(Some(key.clone())).unwrap();
/// let soon = Duration::from_millis(1);
/// let refused = connect_timeout::<(), ()>(busy.address(), Some(&key), soon);
/// assert!(matches!(refused, Err(Error::TimedOut)), "it never called accept");
/// ```
pub fn connect_timeout<S, R>(
    address: &Address,
    key: Option<&Key>,
    timeout: Duration,
) -> Result<Connection<S, R>, Error> {
    connect_wire(address, key, Some(Deadline::after(timeout))).map(Connection::from)
}

/// As [`connect`], for the byte layer.
///
/// # Blocking
///
/// As [`connect`], until the deadline.
///
/// # Errors
///
/// As [`connect_timeout`].
///
/// # Examples
///
/// ```
/// use mp_ipc::{Deadline, Error, Listener, connect_wire};
///
/// let listener = Listener::private(None).unwrap();
/// let client = connect_wire(listener.address(), None, None).unwrap();
/// let server = listener.accept_wire(None).unwrap();
/// client.send_parts(b"bytes", &[], None).unwrap();
/// assert_eq!(server.recv(None).unwrap().bytes, b"bytes");
/// let nobody = listener.accept_wire(Some(Deadline::now()));
/// assert!(matches!(nobody, Err(Error::TimedOut)));
/// ```
pub fn connect_wire(
    address: &Address,
    key: Option<&Key>,
    deadline: Option<Deadline>,
) -> Result<Wire, Error> {
    let any = address.any()?;
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(address.family(), SocketType::STREAM, flags, None)
        .map_err(Error::os("socket"))?;
    loop {
        // The kernel's connect has no deadline of its own but this (socket(7)).
        let left = deadline.map(|deadline| deadline.remaining().max(Duration::from_micros(1)));
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, left)
            .map_err(Error::os("setsockopt"))?;
        match net::connect(&socket, &any) {
            Ok(()) | Err(Errno::ISCONN) => break,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN | Errno::INPROGRESS | Errno::ALREADY) => {
                let over = deadline.is_some_and(Deadline::has_passed);
                let writable = Interest::Writable;
                if over || !wait_for(socket.as_fd(), writable, deadline).unwrap_or(false) {
                    return Err(Error::TimedOut);
                }
            }
            Err(errno) => return Err(Error::Os { op: "connect", errno }),
        }
    }
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, None)
        .map_err(Error::os("setsockopt"))?;
    if matches!(address, Address::Tcp(_)) {
        sockopt::set_tcp_nodelay(&socket, true).map_err(Error::os("setsockopt"))?;
    }
    if let Some(key) = key {
        auth::answer(socket.as_fd(), key, deadline)?;
    }
    Ok(Wire::from(socket))
}
