//! The operations that each kind of object knows.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::pairs::Pairs;
use crate::protocol::{Blob, Key, ObjectId, Patience};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Op {
    Table(TableOp),
    Sequence(SequenceOp),
    Queue(QueueOp),
    Lock(LockOp),
    Semaphore(SemaphoreOp),
    Event(EventOp),
    Barrier(BarrierOp),
    /// A user's request, encoded.
    Service(ByteBuf),
    Outcome(OutcomeOp),
}

/// Dict, Set, Namespace, Value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum TableOp {
    Len,
    Contains(Key),
    Get(Key),
    GetMany(Vec<Key>),
    /// Answers what was there.
    Insert(Key, Blob),
    /// As `Insert`, and answers whether something was there.
    Set(Key, Blob),
    /// Inserts if nothing is there; answers what is there then.
    GetOrInsert(Key, Blob),
    Remove(Key),
    /// Removes all of these; answers how many were there.
    RemoveMany(Vec<Key>),
    /// Removes what was inserted last.
    Pop,
    /// Answers how many were added.
    Extend(Vec<(Key, Blob)>),
    /// As `Extend`, for values that refer to nothing.
    Fill(Pairs),
    Clear,
    /// Removes everything; answers what was there.
    Drain,
    Keys,
    Values,
    Pairs,
    /// All pairs, and the version of the whole.
    Snapshot,
    /// Removes these, if the whole is still at `version`. Answers whether it was.
    Prune {
        version: u64,
        keys: Vec<Key>,
    },
    Versioned(Key),
    /// Stores (or removes) if the version is still this; else answers what is there.
    Exchange {
        key: Key,
        version: u64,
        value: Option<Blob>,
    },
}

/// List, Array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum SequenceOp {
    Len,
    Get(u64),
    Set(u64, Blob),
    /// Answers what was there.
    Replace(u64, Blob),
    Swap(u64, u64),
    Push(Blob),
    Extend(Vec<Blob>),
    Insert(u64, Blob),
    Pop,
    Remove(u64),
    Range {
        start: u64,
        end: u64,
    },
    /// Puts `values` in the place of a range, and answers what was there.
    Splice {
        start: u64,
        end: u64,
        values: Vec<Blob>,
    },
    /// Writes `values` over what is there from `start` on.
    Write {
        start: u64,
        values: Vec<Blob>,
    },
    Clear,
    Reverse,
    Versioned(u64),
    Exchange {
        index: u64,
        version: u64,
        value: Blob,
    },
    /// All values and the version of the whole.
    Snapshot,
    /// If the whole is still at `version`: keeps the values at these indices, in this order.
    /// Answers whether it was.
    Arrange {
        version: u64,
        order: Vec<u64>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum QueueOp {
    /// Puts all in order; answers how many went in before the time was up.
    Put {
        values: Vec<Blob>,
        wait: Patience,
    },
    /// Takes at least one and at most `most`.
    Get {
        most: u64,
        wait: Patience,
    },
    Len,
    IsFull,
    Close,
    /// So many of the values that this session got are done.
    Done(u64),
    /// Waits until all that was put is done.
    Join(Patience),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum LockOp {
    Acquire(Patience),
    Release,
    Locked,
    /// A new condition on this lock; answers its number.
    Condition,
    Wait {
        condition: u64,
        wait: Patience,
    },
    /// Answers how many were woken.
    Notify {
        condition: u64,
        most: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum SemaphoreOp {
    Acquire(Patience),
    /// Gives back a permit that this connection holds.
    Release,
    /// This connection's permit becomes nobody's.
    Forget,
    /// Adds a permit that nobody holds.
    Add(u64),
    Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum EventOp {
    Set,
    Clear,
    IsSet,
    Wait(Patience),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum BarrierOp {
    /// `acts`: if this is the last to come, it does something before all go on.
    Wait {
        wait: Patience,
        acts: bool,
    },
    /// The action is done; or it failed, and the barrier is broken.
    Acted(bool),
    Abort,
    Reset,
    State,
}

/// The results of a managed pool's call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum OutcomeOp {
    Ready,
    Wait(Patience),
}

impl Op {
    /// The objects that the values in this request refer to.
    pub(crate) fn refs(&self) -> Vec<ObjectId> {
        let mut refs = Vec::new();
        let mut add = |blob: &Blob| refs.extend_from_slice(&blob.refs);
        match self {
            Op::Table(
                TableOp::Insert(_, value) | TableOp::Set(_, value) | TableOp::GetOrInsert(_, value),
            ) => add(value),
            Op::Table(TableOp::Exchange { value, .. }) => value.iter().for_each(add),
            Op::Table(TableOp::Extend(pairs)) => pairs.iter().for_each(|(_, value)| add(value)),
            Op::Sequence(
                SequenceOp::Set(_, value)
                | SequenceOp::Replace(_, value)
                | SequenceOp::Push(value)
                | SequenceOp::Insert(_, value)
                | SequenceOp::Exchange { value, .. },
            ) => add(value),
            Op::Sequence(
                SequenceOp::Extend(values)
                | SequenceOp::Splice { values, .. }
                | SequenceOp::Write { values, .. },
            )
            | Op::Queue(QueueOp::Put { values, .. }) => values.iter().for_each(add),
            _ => {}
        }
        refs
    }
}
