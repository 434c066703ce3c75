use mp_sys::{Errno, fd_table};

use crate::protocol::Failure;

/// Why a call to a managed object was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server is gone, or the connection to it is.
    #[error("the manager's server is gone")]
    Disconnected,
    /// The time was up.
    #[error("the time is up")]
    TimedOut,
    /// It could not be had at once, and the call does not wait.
    #[error("it is taken: wait for it with the blocking call")]
    WouldBlock,
    /// A consumer died with an item that it had not reported as done; the item waits in the queue
    /// to be got again.
    #[error("a consumer died before it was done: its item is in the queue again")]
    ConsumerDied,
    /// The object is gone: the last that referred to it is.
    #[error("the managed object is gone: its last proxy was dropped")]
    Gone,
    /// The queue is empty.
    #[error("the queue is empty")]
    Empty,
    /// The queue is full.
    #[error("the queue is full")]
    Full,
    /// The queue is closed, and for a `get`, empty.
    #[error("the queue is closed")]
    Closed,
    /// Somebody broke the barrier: by abort, by reset, by failing, or by being late.
    #[error("the barrier is broken: reset it")]
    Broken,
    /// More was given back than there was to give back.
    #[error("more was given back than there is: a release or task_done too many")]
    Overflow,
    /// The lock or permit is not this thread's.
    #[error("this thread does not hold it")]
    NotOwner,
    /// This thread holds the lock already, so it would wait for itself.
    #[error("this thread holds the lock already: use an RLock to lock it again")]
    WouldDeadlock,
    /// There is nothing at this index.
    #[error("index {index} is outside of the {len} values")]
    OutOfRange {
        /// What was asked for.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// The object is of another type.
    #[error("the managed object is a {found}, not a {expected}")]
    Mismatch {
        /// What was asked for.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Nothing is published under this name.
    #[error("nothing is published under the name {0:?}")]
    NoSuchName(String),
    /// Something else is published under this name.
    #[error("something is published under the name {0:?} already")]
    NameTaken(String),
    /// No type is registered under this name.
    #[error("no service is registered under the name {0:?}: register it with Manager::builder()")]
    Unregistered(String),
    /// A handler of a user's type panicked, at this request or at an earlier one.
    #[error("the service panicked: {0}")]
    Panicked(String),
    /// A call in a managed pool has no result: it panicked, or its worker died.
    #[error("{0}")]
    Task(String),
    /// The request is longer than the server accepts.
    #[error("the request is {len} bytes long, and the limit is {max}")]
    TooBig {
        /// The length of the request.
        len: u64,
        /// The longest that the server accepts.
        max: u64,
    },
    /// The server does not do this.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The constructor of a user's type said no: its error, encoded. It reaches a caller as
    /// [`CallError::Refused`].
    #[error("the service was not opened")]
    NotOpened(Vec<u8>),
    /// What came is not what this protocol has there.
    #[error("the other side does not keep to the protocol: {0}")]
    Protocol(String),
    /// A value could not be written as bytes.
    #[error("the value cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not a value of this type.
    #[error("the bytes are not such a value: {0}")]
    Decode(String),
    /// A proxy was stored where it cannot be counted.
    #[error("{0}")]
    Proxy(&'static str),
    /// The handle could not be put into, or taken from, a message.
    #[error(transparent)]
    Handle(#[from] fd_table::Error),
    /// The server could not be reached, or not listen.
    #[error(transparent)]
    Ipc(#[from] mp_ipc::Error),
    /// The server process could not be started.
    #[error(transparent)]
    Process(#[from] mp_process::Error),
    /// A system call failed.
    #[error("{op} failed: {errno}")]
    Os {
        /// What was being done.
        op: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

impl Error {
    /// For `map_err`: the error of the system call `op`.
    pub(crate) fn os(op: &'static str) -> impl Fn(Errno) -> Error {
        move |errno| Error::Os { op, errno }
    }

    pub(crate) fn from_io(op: &'static str, error: &std::io::Error) -> Error {
        Error::Os { op, errno: Errno::from_io_error(error).unwrap_or(Errno::IO) }
    }

    /// The reply is one that this request cannot have.
    pub(crate) fn unexpected() -> Error {
        Error::Protocol("a reply that does not fit its request".to_owned())
    }

    /// Whether the connection can be used no more.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, Error::Disconnected | Error::Protocol(_) | Error::Os { .. })
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Gone => Error::Gone,
            Failure::TimedOut => Error::TimedOut,
            Failure::WouldBlock => Error::WouldBlock,
            Failure::ConsumerDied => Error::ConsumerDied,
            Failure::Empty => Error::Empty,
            Failure::Full => Error::Full,
            Failure::Closed => Error::Closed,
            Failure::Broken => Error::Broken,
            Failure::Overflow => Error::Overflow,
            Failure::NotOwner => Error::NotOwner,
            Failure::WouldDeadlock => Error::WouldDeadlock,
            Failure::OutOfRange { index, len } => {
                Error::OutOfRange { index: index as usize, len: len as usize }
            }
            Failure::Mismatch { expected, found } => Error::Mismatch { expected, found },
            Failure::NoSuchName(name) => Error::NoSuchName(name),
            Failure::NameTaken(name) => Error::NameTaken(name),
            Failure::Unregistered(name) => Error::Unregistered(name),
            Failure::Panicked(what) => Error::Panicked(what),
            Failure::Task(why) => Error::Task(why),
            Failure::TooBig { len, max } => Error::TooBig { len, max },
            Failure::Refused(why) => Error::Refused(why),
            Failure::NotOpened(bytes) => Error::NotOpened(bytes.into_vec()),
            Failure::Protocol(what) => Error::Protocol(what),
        }
    }
}

/// Why a lock was not simply given: the shape of [`std::sync::PoisonError`].
#[derive(Debug, thiserror::Error)]
pub enum LockError<G> {
    /// The lock is ours, and its last holder died while it held it: what it guards may be
    /// half-done.
    #[error("the last holder of the lock died: check what it guards")]
    OwnerDied(G),
    /// The lock is not ours.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl<G> LockError<G> {
    /// The guard, whatever state things are in: for `lock().or_else(LockError::recover)`.
    ///
    /// # Errors
    ///
    /// The error of a lock that is not ours.
    pub fn recover(self) -> Result<G, Error> {
        match self {
            LockError::OwnerDied(guard) => Ok(guard),
            LockError::Failed(error) => Err(error),
        }
    }
}

/// Why a call to a user's type brought no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError<E> {
    /// The type's own error.
    #[error("the service refused")]
    Refused(E),
    /// The call was not done, or its end is not known.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What could not be put into a queue, and why.
pub type PutError<V> = mp_ipc::PutError<V, Error>;

impl<V> From<PutError<V>> for Error {
    fn from(failed: PutError<V>) -> Error {
        failed.into_parts().1
    }
}
