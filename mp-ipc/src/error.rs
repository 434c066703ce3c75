//! What can go wrong between processes.

use mp_sys::{Errno, fd_table};

use crate::Address;

/// Why bytes, a value or a handle did not get from one process to the other.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_ipc::{Error, Queue};
///
/// let queue = Queue::<u32>::new(0)?;
/// match queue.get_timeout(Duration::from_millis(1)) {
///     Ok(item) => println!("{item}"),
///     Err(Error::TimedOut) => println!("nothing yet"),
///     Err(Error::Closed) => println!("nothing any more"),
///     Err(other) => return Err(other),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The other side is closed, and all that it sent has been received.
    #[error("the other side is closed")]
    Closed,
    /// The stream ended inside a message: its sender died while sending.
    #[error("the message was cut short after {got} of its bytes: its sender is gone")]
    Truncated {
        /// How many bytes of the frame came.
        got: u64,
    },
    /// The time was up before anything was handed over.
    #[error("the time is up")]
    TimedOut,
    /// There is nothing to receive.
    #[error("there is nothing to receive")]
    Empty,
    /// There is no room to send.
    #[error("there is no room to send")]
    Full,
    /// The time was up when a part of the message had gone. The rest stays with this side and
    /// goes before whatever is sent next; `flush` sends it without sending more.
    #[error("only a part of the message could be sent in time: flush sends the rest")]
    Unfinished,
    /// The message is longer than this side is ready to receive. It stays where it is: with a
    /// higher limit it can be received.
    #[error("the message is {len} bytes long, and the limit is {max}")]
    TooBig {
        /// The length of the message.
        len: u64,
        /// The longest that this side receives.
        max: u64,
    },
    /// The message does not fit in the buffer it was to be received into; here it is.
    #[error("the message is {} bytes long, and the buffer {room}", message.len())]
    BufferTooSmall {
        /// The message.
        message: Vec<u8>,
        /// The size of the buffer.
        room: usize,
    },
    /// What came is not what this protocol has there. Drop the connection.
    #[error("the other side does not keep to the protocol: {0}")]
    Protocol(&'static str),
    /// The value could not be written as bytes.
    #[error("the value cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not a value of this type.
    #[error("the message does not hold such a value: {0}")]
    Decode(String),
    /// Values lie in values lie in values, as they can where a type contains itself.
    #[error("the message holds values more than {max} deep inside of one another")]
    TooDeep {
        /// How deep they may lie.
        max: usize,
    },
    /// A handle in the value could not be sent or received.
    #[error(transparent)]
    Handle(#[from] fd_table::Error),
    /// The message carries handles, and this socket (TCP) cannot.
    #[error("handles cannot travel over this socket: use a unix socket")]
    NoHandles,
    /// The two sides do not have the same key, or only one of them has one.
    #[error("the other side does not have the same key")]
    Authentication,
    /// Somebody listens there already, or a file lies there that is no abandoned socket.
    #[error("the address {0} is in use")]
    AddressInUse(Address),
    /// A unix socket's path or name has room for fewer bytes.
    #[error("the address is {len} bytes long, and the limit is {max}")]
    AddressTooLong {
        /// The length of the path or name.
        len: usize,
        /// The longest possible.
        max: usize,
    },
    /// The message refers to more descriptors than one message carries.
    #[error("the value holds handles to {len} descriptors, and a message carries {max}")]
    TooManyHandles {
        /// How many there are.
        len: usize,
        /// How many there may be.
        max: usize,
    },
    /// This process does not hold the item: it has been acknowledged already, or
    /// [`task_done`](crate::JoinableQueue::task_done) was called more often than `get`.
    #[error("there is no item to acknowledge: every get can be answered once")]
    NotHeld,
    /// As many processes as a queue can tell apart hold items that they have not acknowledged.
    #[error("{max} processes hold items of the queue already: acknowledge some first")]
    TooManyHolders {
        /// How many may.
        max: usize,
    },
    /// A consumer died before it had acknowledged its item, and nobody has taken the item since.
    #[error("a consumer died, and {items} of its items wait to be taken again")]
    ConsumerDied {
        /// How many items wait.
        items: usize,
    },
    /// Shared memory could not be made or attached.
    #[error(transparent)]
    Memory(#[from] mp_shm::Error),
    /// A lock could not be had.
    #[error(transparent)]
    Lock(mp_sync::Error),
    /// The kernel refused.
    #[error("{op} failed: {errno}")]
    Os {
        /// The system call.
        op: &'static str,
        /// Its error.
        errno: Errno,
    },
}

impl Error {
    /// For `map_err`: the error of the system call `op`.
    pub(crate) fn os(op: &'static str) -> impl Fn(Errno) -> Error {
        move |errno| Error::Os { op, errno }
    }
}

impl From<mp_sync::Error> for Error {
    fn from(error: mp_sync::Error) -> Error {
        match error {
            mp_sync::Error::TimedOut => Error::TimedOut,
            error => Error::Lock(error),
        }
    }
}
