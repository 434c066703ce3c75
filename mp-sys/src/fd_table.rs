//! The table of descriptors that travel with a message.
//!
//! A handle (a region, a queue, a file) is written into a message as an index into a table of
//! descriptors, and the transport carries the table beside the bytes. Serde has no place for such
//! a table in its calls, so it stands beside the stack for their duration: [`collect`] around
//! serialising, [`supply`] around deserialising. Outside of these two, a handle cannot be
//! serialised at all, which is what keeps it out of files and logs.
//!
//! This is the house's only thread-local that changes what a call does.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::Errno;
use crate::memfd::{Identity, identity};

#[derive(Default)]
struct Table {
    outgoing: Option<Vec<(OwnedFd, Option<Identity>)>>,
    incoming: Option<Vec<Option<OwnedFd>>>,
    failure: Option<Error>,
}

thread_local! {
    static TABLE: RefCell<Table> = const { RefCell::new(Table { outgoing: None, incoming: None, failure: None }) };
}

thread_local! {
    /// How many tables are open, one inside of the other.
    static OPEN: Cell<u32> = const { Cell::new(0) };
    /// The number of the message being made, and of the last that was begun.
    static MESSAGE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Whether no message is being made or read on this thread.
///
/// A codec may then try without a table first, which costs nothing, and take the table only when
/// that fails: most messages hold no handle.
#[inline]
pub fn is_idle() -> bool {
    OPEN.get() == 0
}

/// Why a handle could not be written into a message, or read from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No message is being made or read on this thread.
    NoMessage,
    /// The message names a descriptor that did not come with it, or names it twice.
    Missing(u32),
    /// The descriptor could not be duplicated.
    Os(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoMessage => f.write_str(
                "a handle can only be serialised into a message: send it through a queue or a \
                 connection, or pass it as an argument",
            ),
            Error::Missing(index) => {
                write!(f, "the message refers to descriptor {index}, which did not come with it")
            }
            Error::Os(errno) => write!(f, "duplicating a descriptor failed: {errno}"),
        }
    }
}

impl std::error::Error for Error {}

/// Runs `serialise` and returns, with its result, the descriptors that it [pushed](push).
///
/// Calls nest: an inner one has a table of its own.
///
/// # Examples
///
/// ```
/// use std::os::fd::AsFd;
/// use mp_sys::fd_table;
///
/// let file = std::fs::File::open("/dev/null").unwrap();
/// let (index, fds) = fd_table::collect(|| fd_table::push(file.as_fd()));
/// assert_eq!((index, fds.len()), (Ok(0), 1));
/// assert_eq!(fd_table::push(file.as_fd()), Err(fd_table::Error::NoMessage));
/// ```
pub fn collect<R>(serialise: impl FnOnce() -> R) -> (R, Vec<OwnedFd>) {
    let outer = TABLE.with_borrow_mut(|table| {
        table.failure = None;
        table.outgoing.replace(Vec::new())
    });
    let (current, last) = MESSAGE.get();
    MESSAGE.set((last + 1, last + 1));
    let restore = Restore::new(move |table: &mut Table| {
        table.outgoing = outer;
        MESSAGE.set((current, MESSAGE.get().1));
    });
    let result = serialise();
    let mine = TABLE.with_borrow_mut(|table| table.outgoing.take()).unwrap_or_default();
    drop(restore);
    (result, mine.into_iter().map(|(fd, _)| fd).collect())
}

/// Runs `deserialise`, which may [take] each of `fds` once or [look at](with) it many times.
/// What it leaves is closed.
///
/// # Examples
///
/// ```
/// use mp_sys::fd_table;
///
/// let file = std::fs::File::open("/dev/null").unwrap();
/// fd_table::supply(vec![file.into()], || {
///     assert!(fd_table::take(0).is_ok());
///     assert_eq!(fd_table::take(0).unwrap_err(), fd_table::Error::Missing(0), "taken already");
///     assert_eq!(fd_table::take(9).unwrap_err(), fd_table::Error::Missing(9));
/// });
/// ```
pub fn supply<R>(fds: Vec<OwnedFd>, deserialise: impl FnOnce() -> R) -> R {
    let fds = fds.into_iter().map(Some).collect();
    let outer = TABLE.with_borrow_mut(|table| {
        table.failure = None;
        table.incoming.replace(fds)
    });
    let _restore = Restore::new(|table: &mut Table| table.incoming = outer);
    deserialise()
}

/// Puts the outer table back, also when the closure panics.
struct Restore<F: FnOnce(&mut Table)>(Option<F>);

impl<F: FnOnce(&mut Table)> Restore<F> {
    fn new(restore: F) -> Restore<F> {
        OPEN.set(OPEN.get() + 1);
        Restore(Some(restore))
    }
}

impl<F: FnOnce(&mut Table)> Drop for Restore<F> {
    fn drop(&mut self) {
        OPEN.set(OPEN.get() - 1);
        if let Some(restore) = self.0.take() {
            TABLE.with_borrow_mut(restore);
        }
    }
}

/// What [`push`], [`take`] or [`with`] last failed with since the innermost [`collect`] or
/// [`supply`] began. For codecs whose errors have no room for a cause.
pub fn failure() -> Option<Error> {
    TABLE.with_borrow(|table| table.failure)
}

/// Whether a message is being made on this thread: for what must not be written anywhere else.
pub fn is_collecting() -> bool {
    TABLE.with_borrow(|table| table.outgoing.is_some())
}

/// Remembers the error of `result` for [`failure`].
fn noted<R>(result: Result<R, Error>) -> Result<R, Error> {
    if let Err(error) = &result {
        TABLE.with_borrow_mut(|table| table.failure = Some(*error));
    }
    result
}

/// Tells the message being made on this thread from every other that it makes.
///
/// For handles that need one thing in a message however many of them there are.
///
/// # Errors
///
/// [`Error::NoMessage`] outside of [`collect`].
///
/// # Examples
///
/// ```
/// use mp_sys::fd_table::{collect, message};
///
/// let ((a, b), _) = collect(|| (message(), message()));
/// assert_eq!(a, b);
/// assert_ne!(a, collect(message).0);
/// assert!(message().is_err());
/// ```
pub fn message() -> Result<u64, Error> {
    noted(if is_collecting() { Ok(MESSAGE.get().0) } else { Err(Error::NoMessage) })
}

/// Adds a duplicate of `fd` to the message being made, and returns its index.
///
/// # Errors
///
/// [`Error::NoMessage`] outside of [`collect`]; [`Error::Os`] when descriptors run out.
pub fn push(fd: BorrowedFd<'_>) -> Result<u32, Error> {
    noted(push_as(fd, None))
}

/// As [`push`], but what is in the message already, by identity, is not added again.
///
/// # Errors
///
/// As [`push`].
pub fn push_once(fd: BorrowedFd<'_>) -> Result<u32, Error> {
    noted(identity(fd).map_err(Error::Os).and_then(|id| push_as(fd, Some(id))))
}

fn push_as(fd: BorrowedFd<'_>, id: Option<Identity>) -> Result<u32, Error> {
    TABLE.with_borrow_mut(|table| {
        let fds = table.outgoing.as_mut().ok_or(Error::NoMessage)?;
        if let Some(at) = fds.iter().position(|(_, other)| id.is_some() && *other == id) {
            return Ok(at as u32);
        }
        let copy = fd
            .try_clone_to_owned()
            .map_err(|error| Error::Os(Errno::from_io_error(&error).unwrap_or(Errno::MFILE)))?;
        fds.push((copy, id));
        Ok(fds.len() as u32 - 1)
    })
}

/// Takes descriptor `index` out of the message being read.
///
/// # Errors
///
/// [`Error::NoMessage`] outside of [`supply`]; [`Error::Missing`] if it is not there.
pub fn take(index: u32) -> Result<OwnedFd, Error> {
    noted(TABLE.with_borrow_mut(|table| {
        let fds = table.incoming.as_mut().ok_or(Error::NoMessage)?;
        fds.get_mut(index as usize).and_then(Option::take).ok_or(Error::Missing(index))
    }))
}

/// Shows descriptor `index` of the message being read to `look`, and leaves it there.
///
/// # Errors
///
/// As [`take`].
pub fn with<R>(index: u32, look: impl FnOnce(BorrowedFd<'_>) -> R) -> Result<R, Error> {
    noted(TABLE.with_borrow(|table| {
        let fds = table.incoming.as_ref().ok_or(Error::NoMessage)?;
        let fd = fds.get(index as usize).and_then(Option::as_ref).ok_or(Error::Missing(index))?;
        Ok(look(fd.as_fd()))
    }))
}
