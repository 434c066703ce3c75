//! What can go wrong with functions and processes.

use mp_sys::Errno;
use serde::{Deserialize, Serialize};

use crate::{ExitStatus, PanicInfo};

/// Why a function that another process named cannot be called here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// The object in which the function lies is not here, or is another build.
    #[error(
        "the function lies in {object} ({wanted}), and {found}: load the same file in both, for a \
         fork server with `preload`"
    )]
    NotHere {
        /// The program, or the path of the library.
        object: String,
        /// The build that has the function.
        wanted: String,
        /// What is here instead.
        found: String,
    },
    /// The function is there, but takes or returns other types.
    #[error("the function has other types than expected: {found:016x} in place of {wanted:016x}")]
    Types {
        /// The hash of the types that were asked for.
        wanted: u64,
        /// The hash of those that the function has.
        found: u64,
    },
    /// There is no function at the place that the id names.
    #[error("the id names a place where there is no function")]
    NoFunction,
    /// No process of this family made the id.
    #[error("the id of the function was not made by a process of this family")]
    Foreign,
    /// The function lies in no file: it was made at run time.
    #[error("the function lies in no loaded file, so other processes cannot find it")]
    Unknown,
}

/// Why calling a [`Task`](crate::Task) gave no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The arguments could not be decoded.
    #[error("the arguments could not be read: {0}")]
    Arguments(String),
    /// The function panicked.
    #[error(transparent)]
    Panicked(PanicInfo),
    /// The value could not be encoded.
    #[error("the value could not be sent: {0}")]
    Value(String),
}

/// What went wrong with a process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `init` was not called, so a child would run the program from its beginning.
    #[error(
        "starting a process needs `mp_process::init();` as the first line of `main` (in a test \
         file: the line `mp_process::init_tests!();`), or `.method(StartMethod::Fork)`"
    )]
    NotInitialised,
    /// The program was started as an argument of the loader (`ld.so program`): then it is the
    /// loader that would be executed again.
    #[error(
        "the loader was executed in place of the program, so a child would be a loader too: start \
         the program itself, or use `.method(StartMethod::Fork)`"
    )]
    RunByLoader,
    /// The process has more than one thread, so a plain copy of it could hang.
    #[error(
        "fork copies only the calling thread, and this process has {threads}: what the others \
         have locked would stay locked in the child; use `StartMethod::ForkServer` or `Spawn`, or \
         start processes before threads"
    )]
    MultiThreaded {
        /// How many threads there are.
        threads: usize,
    },
    /// A closure that captures can only be called in a copy of this process.
    #[error("a closure that captures can only be started with `StartMethod::Fork`")]
    NeedsFork,
    /// The child ended before it was ready to call the function.
    #[error("the child ended before it began: {status}")]
    DiedAtStart {
        /// How it ended.
        status: ExitStatus,
    },
    /// The child was not ready in time, and has been killed.
    #[error("the child did not begin in time: does `main` call `mp_process::init()` first?")]
    StartTimedOut,
    /// The child could not find the function.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// The child could not set itself up as asked.
    #[error("the child could not {what}: {errno}")]
    Setup {
        /// What it tried to do.
        what: String,
        /// Why that failed.
        errno: Errno,
    },
    /// The arguments could not be sent.
    #[error("the arguments cannot be sent: {0}")]
    Arguments(mp_ipc::Error),
    /// The value came, but could not be read.
    #[error("the value cannot be read: {0}")]
    Value(mp_ipc::Error),
    /// The child could not read its arguments, or could not send its value.
    #[error("in the child, {0}")]
    Task(TaskError),
    /// The function panicked.
    #[error("the child {0}")]
    Panicked(PanicInfo),
    /// The child ended without a value: it called `exit`, or a signal ended it.
    #[error("the child gave no value: {0}")]
    Exited(ExitStatus),
    /// The function that should prepare the fork server panicked, or left threads behind.
    #[error("the fork server could not be prepared: {0}")]
    Preload(String),
    /// The time is up.
    #[error("the time is up")]
    TimedOut,
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
