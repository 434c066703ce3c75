//! `wait`: until one of many is ready.

use std::os::fd::AsFd;
use std::time::Duration;

use mp_sys::Deadline;
use mp_sys::poll::{Interest, poll};

use crate::Error;

/// Waits until at least one of `objects` is ready, and says which are, by index.
///
/// A connection is ready when there is something to receive or its other side is closed; a
/// listener, when somebody wants to connect; a process, when it has ended; any other descriptor,
/// when it is readable. With no timeout it waits for ever; a timeout of zero looks and does not
/// wait; with no objects it waits for the timeout alone.
///
/// Python: `multiprocessing.connection.wait(object_list, timeout)`.
///
/// # Blocking
///
/// Waits for the objects' other sides. If the process behind one dies, that one is ready
/// (*reports*).
///
/// # Errors
///
/// [`Error::Os`] for more objects than the process may open descriptors.
///
/// # Examples
///
/// ```
/// use std::{os::unix::net::UnixStream, time::Duration};
/// use mp_ipc::{pipe, wait};
///
/// let (here, there) = pipe::<u32, u32>().unwrap();
/// let (socket, _other) = UnixStream::pair().unwrap();
/// assert_eq!(wait(&[&here, &socket], Some(Duration::ZERO)).unwrap(), []);
///
/// there.send(&1).unwrap();
/// assert_eq!(wait(&[&socket, &here], None).unwrap(), [1]);
/// ```
pub fn wait(objects: &[&dyn AsFd], timeout: Option<Duration>) -> Result<Vec<usize>, Error> {
    let fds: Vec<_> = objects.iter().map(|object| (object.as_fd(), Interest::Readable)).collect();
    let ready = poll(&fds, timeout.map(Deadline::after)).map_err(Error::os("poll"))?;
    Ok(ready.iter().enumerate().filter_map(|(at, ready)| ready.then_some(at)).collect())
}
