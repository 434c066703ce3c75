use mp_process::{ExitStatus, PanicInfo};
use mp_sys::Errno;

/// How a task ended that has no result. It concerns that task alone.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked. Its worker goes on.
    #[error("the task {0}")]
    Panicked(PanicInfo),
    /// The worker died while it ran the task: killed, aborted, or ended by `exit`.
    #[error("worker {pid} died ({status}) while it ran task {task}")]
    WorkerDied {
        /// The worker's process id.
        pid: u32,
        /// How it ended.
        status: ExitStatus,
        /// The index of the task in its call: 0 for `apply`, the item's number for `map`.
        task: u64,
    },
    /// The task ran longer than it may, and its worker was ended.
    #[error("the task ran longer than its time limit")]
    Timeout,
    /// The task was cancelled, or the pool ended before it was done.
    #[error("the task was cancelled")]
    Cancelled,
    /// The argument or the result could not be encoded or decoded.
    #[error("the task's value could not be handed over: {0}")]
    Codec(String),
    /// No worker could be brought to life, so the pool gave up.
    #[error("the pool is broken: {0}")]
    Broken(String),
    /// The pool was closed before the task was handed in.
    #[error("the pool is closed: hand in tasks before `close`")]
    Closed,
}

/// Why a call on a pool failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A task has no result. Where a call has several tasks, this is the first that failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The result did not come in time. It may still come.
    #[error("timed out waiting for a result")]
    TimedOut,
    /// The pool takes no more tasks.
    #[error("the pool is closed: hand in tasks before `close`")]
    Closed,
    /// No worker could be brought to life, so the pool gave up.
    #[error("the pool is broken: {0}")]
    Broken(String),
    /// A setting makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// `join` was called on a pool that would go on for ever.
    #[error("the pool is open: call `close` or `terminate` before `join`")]
    StillOpen,
    /// The result is not there yet.
    #[error("the result is not ready: wait for it first")]
    NotReady,
    /// A worker's process could not be started.
    #[error("a worker could not be started: {0}")]
    Start(#[source] mp_process::Error),
    /// Shared memory could not be made.
    #[error(transparent)]
    Shared(#[from] mp_shm::Error),
    /// A value could not be encoded.
    #[error("a value could not be encoded: {0}")]
    Encode(String),
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
    pub(crate) fn os(op: &'static str) -> impl FnOnce(Errno) -> Error {
        move |errno| Error::Os { op, errno }
    }
}

impl Error {
    pub(crate) fn io(op: &'static str) -> impl Fn(std::io::Error) -> Error {
        move |error| Error::Os { op, errno: Errno::from_io_error(&error).unwrap_or(Errno::IO) }
    }
}
