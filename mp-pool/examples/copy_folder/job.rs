//! What one worker does in one go, and what it answers.

use std::ffi::OsString;

use mp_ipc::Fd;
use serde::{Deserialize, Serialize};

use crate::copy::Tally;
use crate::report::Trouble;

/// What a worker is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    Entries(Job),
    Large(LargeFile),
}

/// Entries of a few folders, enough to be worth a message.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: u64,
    /// A worker was killed at this job: what is there already is whole.
    pub(crate) again: bool,
    pub(crate) groups: Vec<Group>,
}

/// Entries of one folder, which exists at the destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) folder: OsString,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    File,
    Link,
    Fifo,
}

/// A large file, which the parent has opened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LargeFile {
    pub(crate) id: u64,
    /// For messages.
    pub(crate) path: OsString,
    pub(crate) from: Fd,
    pub(crate) to: Fd,
    pub(crate) size: u64,
}

/// How far an order is: what the progress bar is fed with.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Tick {
    pub(crate) id: u64,
    pub(crate) tally: Tally,
}

/// An order carried out, but for what is named.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) id: u64,
    pub(crate) tally: Tally,
    pub(crate) troubles: Vec<Trouble>,
}
