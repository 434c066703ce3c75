//! What clients and the server say to each other. Drawn in `docs/layout.md`.
//!
//! A request is answered by exactly one reply, in order, on the connection it came on; a
//! [`Request::Release`] and a [`Request::Goodbye`] by none. Keys and values are bytes here: only
//! the proxies know their types.

use std::time::Duration;

use mp_ipc::Address;
use mp_sys::Deadline;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::op::Op;

/// Both sides must say the same.
pub(crate) const VERSION: u32 = 1;

/// The longest request of a connection that has not said hello.
pub(crate) const HELLO_MAX: usize = 4096;

/// The longest request that a server accepts unless told otherwise.
pub(crate) const REQUEST_MAX: usize = 64 << 20;

/// The longest reply that a client accepts.
pub(crate) const REPLY_MAX: usize = u32::MAX as usize;

pub(crate) type ObjectId = u64;

/// A secret that says "I am of that session" or "this reference is for me".
pub(crate) type Token = u128;

/// An encoded key: compared as bytes.
pub(crate) type Key = ByteBuf;

/// An encoded value, and the managed objects that it refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blob {
    pub(crate) bytes: ByteBuf,
    pub(crate) refs: Vec<ObjectId>,
}

/// What an object is, and the names of the types it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub(crate) kind: Kind,
    pub(crate) types: String,
}

impl Shape {
    pub(crate) fn new(kind: Kind, types: &[&str]) -> Shape {
        Shape { kind, types: types.join(", ") }
    }

    /// As a user would write it.
    pub(crate) fn name(&self) -> String {
        if self.types.is_empty() {
            format!("{:?}", self.kind)
        } else {
            format!("{:?}<{}>", self.kind, self.types)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Dict,
    Set,
    Namespace,
    Value,
    List,
    Array,
    Queue,
    JoinableQueue,
    Lock,
    RLock,
    Condition,
    Semaphore,
    BoundedSemaphore,
    Event,
    Barrier,
    Service,
    Pool,
    Outcome,
}

/// What an object begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Init {
    Empty,
    Pairs(Vec<(Key, Blob)>),
    Values(Vec<Blob>),
    /// A capacity, a number of permits, of parties, of workers.
    Number(u64),
    /// A registered type, and the encoded arguments of its constructor.
    Service {
        name: String,
        args: ByteBuf,
    },
}

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Patience {
    Never,
    /// For so many nanoseconds.
    For(u64),
    Forever,
}

impl Patience {
    pub(crate) fn of(timeout: Option<Duration>) -> Patience {
        match timeout.map(|timeout| u64::try_from(timeout.as_nanos())) {
            Some(Ok(nanos)) => Patience::For(nanos),
            Some(Err(_)) | None => Patience::Forever,
        }
    }

    /// Until when, beginning at once; `None` is for ever.
    pub(crate) fn deadline(self) -> Option<Deadline> {
        match self {
            Patience::Never => Some(Deadline::now()),
            Patience::For(nanos) => Some(Deadline::after(Duration::from_nanos(nanos))),
            Patience::Forever => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The first on each connection. With a token: one more connection of that session.
    Hello {
        version: u32,
        token: Option<Token>,
    },
    Create {
        shape: Shape,
        init: Init,
    },
    Op {
        object: ObjectId,
        op: Op,
    },
    /// Has a pool call a function once for each item; answers the object with the results.
    Submit {
        pool: ObjectId,
        function: ByteBuf,
        items: Vec<ByteBuf>,
        types: String,
    },
    /// Count a reference that is on its way in a message.
    Ticket {
        object: ObjectId,
        message: Option<Token>,
    },
    /// Take over the reference that a ticket holds.
    Claim {
        ticket: Token,
        shape: Shape,
    },
    /// After a fork: count the references that this process has inherited.
    Adopt {
        refs: Vec<(ObjectId, u64)>,
    },
    Release {
        object: ObjectId,
        count: u64,
    },
    /// The session ends in order: its unclaimed tickets stay for a while.
    Goodbye,
    Publish {
        name: String,
        object: ObjectId,
    },
    Unpublish {
        name: String,
    },
    Named {
        name: String,
        shape: Shape,
    },
    Names,
    /// How many objects there are.
    Count,
    /// Listen for clients elsewhere.
    Serve {
        address: Address,
        key: ByteBuf,
    },
    Shutdown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Hello {
        server: u128,
        token: Token,
        request_max: u64,
    },
    Unit,
    Flag(bool),
    Count(u64),
    Object(ObjectId),
    Ticket(Token),
    Names(Vec<String>),
    Address(Address),
    Value(Option<Blob>),
    Values(Vec<Blob>),
    MaybeValues(Vec<Option<Blob>>),
    Keys(Vec<Key>),
    Pair(Option<(Key, Blob)>),
    Pairs(Vec<(Key, Blob)>),
    /// A table and the version that it is at.
    Table {
        version: u64,
        pairs: Vec<(Key, Blob)>,
    },
    /// A value and the version that it is at; 0 is the version of what is not there.
    Versioned {
        version: u64,
        value: Option<Blob>,
    },
    /// A list and the version that it is at.
    Snapshot {
        version: u64,
        values: Vec<Blob>,
    },
    /// The lock, permit or turn is yours.
    Acquired {
        owner_died: bool,
    },
    /// A condition's wait is over and the lock is yours again.
    Woken {
        notified: bool,
        owner_died: bool,
    },
    /// Your place at the barrier; `acts`: the others wait for your action.
    Passed {
        index: u64,
        acts: bool,
    },
    Barrier {
        parties: u64,
        waiting: u64,
        broken: bool,
    },
    /// What a user's handler returned, and whether that is its error.
    Called {
        bytes: ByteBuf,
        refused: bool,
    },
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// There is no such object (any more).
    Gone,
    TimedOut,
    WouldBlock,
    ConsumerDied,
    Empty,
    Full,
    Closed,
    Broken,
    Overflow,
    NotOwner,
    WouldDeadlock,
    OutOfRange {
        index: u64,
        len: u64,
    },
    Mismatch {
        expected: String,
        found: String,
    },
    NoSuchName(String),
    NameTaken(String),
    Unregistered(String),
    Panicked(String),
    /// A call in a pool has no result.
    Task(String),
    /// The constructor of a user's type said no: its error, encoded.
    NotOpened(ByteBuf),
    TooBig {
        len: u64,
        max: u64,
    },
    Refused(String),
    Protocol(String),
}

pub(crate) type Answer = Result<Reply, Failure>;

impl Failure {
    pub(crate) fn protocol(what: &str) -> Failure {
        Failure::Protocol(what.to_owned())
    }
}

impl Reply {
    /// The objects that the values in this reply refer to.
    pub(crate) fn refs(&self) -> Vec<ObjectId> {
        let mut refs = Vec::new();
        let mut add = |blob: &Blob| refs.extend_from_slice(&blob.refs);
        match self {
            Reply::Value(value) | Reply::Versioned { value, .. } => value.iter().for_each(add),
            Reply::Values(values) | Reply::Snapshot { values, .. } => values.iter().for_each(add),
            Reply::MaybeValues(values) => values.iter().flatten().for_each(add),
            Reply::Pair(pair) => pair.iter().for_each(|(_, value)| add(value)),
            Reply::Pairs(pairs) | Reply::Table { pairs, .. } => {
                pairs.iter().for_each(|(_, value)| add(value))
            }
            _ => {}
        }
        refs
    }
}

impl Init {
    pub(crate) fn refs(&self) -> Vec<ObjectId> {
        match self {
            Init::Pairs(pairs) => pairs.iter().flat_map(|(_, value)| value.refs.clone()).collect(),
            Init::Values(values) => values.iter().flat_map(|value| value.refs.clone()).collect(),
            _ => Vec::new(),
        }
    }
}
