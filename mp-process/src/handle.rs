//! A process that has been started, as the one that started it sees it.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use mp_ipc::Message;
use mp_sys::Deadline;
use serde::de::DeserializeOwned;

use crate::error::{Error, TaskError};
use crate::watch::{Outcome, Watch};
use crate::{ExitStatus, children};

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// A child process, and the value that its function will have returned.
///
/// Any number of threads may ask and wait at once. Dropping the handle ends nothing: the child
/// runs on, and this process still ends a daemonic one, and waits for any other, when it ends
/// itself. What the kernel keeps of a child that has ended (a zombie) is cleared away when it is
/// asked after or its handle is dropped, and if it ends later, at the next start (where more than 16
/// children live, at one of the next), at the next [`active_children`], or at this process's end;
/// that of a child of the fork server at once.
///
/// Python: `multiprocessing.Process`, once it has been started.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_process::{Error, ExitStatus, Process};
///
/// fn main() -> Result<(), Error> {
///     mp_process::init();
///     let child = Process::call(|| std::thread::sleep(Duration::from_secs(60))).start()?;
///     assert!(child.is_alive());
///     assert!(matches!(child.join_timeout(Duration::from_millis(10)), Err(Error::TimedOut)));
///     child.terminate()?;
///     assert_eq!(child.wait(), ExitStatus::Signaled(15));
///     assert!(matches!(child.join(), Err(Error::Exited(ExitStatus::Signaled(15)))));
///     Ok(())
/// }
/// ```
pub struct Child<R> {
    watch: Arc<Watch>,
    value: PhantomData<fn() -> R>,
}

impl<R> Child<R> {
    pub(crate) fn new(watch: Arc<Watch>) -> Child<R> {
        Child { watch, value: PhantomData }
    }

    /// The process id. Once the child has ended it may belong to another process; to send a
    /// signal, use [`signal`](Child::signal), which cannot be mistaken.
    pub fn pid(&self) -> i32 {
        self.watch.pid
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.watch.name
    }

    /// Whether the child ends with this process.
    pub fn is_daemon(&self) -> bool {
        self.watch.daemon
    }

    /// Whether the child has not ended.
    pub fn is_alive(&self) -> bool {
        self.watch.status().is_none()
    }

    /// How it ended; `None` while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        self.watch.status()
    }

    /// How it ended, as Python's number: the exit code, or the signal as a negative number. `None`
    /// while it runs, or if it is [unknown](ExitStatus::Unknown).
    pub fn exitcode(&self) -> Option<i32> {
        self.watch.status().and_then(ExitStatus::number)
    }

    /// Waits for the end, whatever it is.
    ///
    /// # Blocking
    ///
    /// Waits for the child to end, which the kernel tells: however it dies, this returns.
    pub fn wait(&self) -> ExitStatus {
        // Without a deadline it is always `Some`.
        self.watch.wait_until(None).unwrap_or(ExitStatus::Unknown)
    }

    /// As [`wait`](Child::wait), but at most this long. `None` if it still runs.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Child::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Option<ExitStatus> {
        self.watch.wait_until(Some(Deadline::after(timeout)))
    }

    /// Sends `SIGTERM`, which ends a child that does not handle it. Nothing if it has ended.
    ///
    /// Its daemonic children end with it; its other children do not.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if it may not be signalled, since it has changed its user.
    pub fn terminate(&self) -> Result<(), Error> {
        self.signal(SIGTERM)
    }

    /// Sends `SIGKILL`, which ends any child. Otherwise as [`terminate`](Child::terminate).
    ///
    /// # Errors
    ///
    /// As [`terminate`](Child::terminate).
    pub fn kill(&self) -> Result<(), Error> {
        self.signal(SIGKILL)
    }

    /// Sends `SIGINT`, as Ctrl-C does. Otherwise as [`terminate`](Child::terminate).
    ///
    /// # Errors
    ///
    /// As [`terminate`](Child::terminate).
    pub fn interrupt(&self) -> Result<(), Error> {
        self.signal(SIGINT)
    }

    /// Sends the signal of this number. Otherwise as [`terminate`](Child::terminate).
    ///
    /// # Errors
    ///
    /// As [`terminate`](Child::terminate), and [`Error::Os`] for no such signal.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        self.watch.signal(signal)
    }
}

impl<R> Drop for Child<R> {
    /// Clears away what is left of a child that has ended. It waits for nothing.
    fn drop(&mut self) {
        self.watch.status();
    }
}

impl<R: DeserializeOwned> Child<R> {
    /// Waits for the end, and gives what the function returned. It can be called again, and by
    /// several threads: each gets the value.
    ///
    /// A function that returns a `Result` gives it whole: `Ok(Err(error))` here, and 1 as the exit
    /// status.
    ///
    /// Python: `Process.join()`, which gives no value.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Child::wait).
    ///
    /// # Errors
    ///
    /// [`Error::Panicked`] if the function panicked; [`Error::Exited`] if the process ended
    /// without a value, by `exit` or a signal; [`Error::Task`] if its arguments or value could not
    /// be sent; [`Error::Value`] if the value cannot be read here.
    pub fn join(&self) -> Result<R, Error> {
        self.join_until(None)
    }

    /// As [`join`](Child::join), but at most this long.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Child::wait).
    ///
    /// # Errors
    ///
    /// As [`join`](Child::join), and [`Error::TimedOut`] if it still runs.
    pub fn join_timeout(&self, timeout: Duration) -> Result<R, Error> {
        self.join_until(Some(Deadline::after(timeout)))
    }

    fn join_until(&self, deadline: Option<Deadline>) -> Result<R, Error> {
        let status = self.watch.wait_until(deadline).ok_or(Error::TimedOut)?;
        let value = self.watch.outcome(|outcome| match outcome {
            Outcome::Value(value) => copy(value),
            Outcome::Failure(TaskError::Panicked(panic)) => Err(Error::Panicked(panic.clone())),
            Outcome::Failure(error) => Err(Error::Task(error.clone())),
            Outcome::Refusal(refusal) => Err(refusal.clone().into()),
            Outcome::Nothing => Err(Error::Exited(status)),
        })?;
        mp_ipc::decode(value).map_err(Error::Value)
    }
}

fn copy(value: &Message) -> Result<Message, Error> {
    let fds: Result<Vec<_>, _> = value.fds.iter().map(|fd| fd.try_clone()).collect();
    let fds = fds.map_err(|error| Error::Os {
        op: "fcntl",
        errno: mp_sys::Errno::from_io_error(&error).unwrap_or(mp_sys::Errno::MFILE),
    })?;
    Ok(Message { bytes: value.bytes.clone(), fds })
}

impl<R> AsFd for Child<R> {
    /// The child's pidfd: readable once it has ended. For [`mp_ipc::wait`].
    ///
    /// Python: `Process.sentinel`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.process()
    }
}

impl<R> fmt::Debug for Child<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("name", &self.watch.name)
            .field("pid", &self.watch.pid)
            .field("status", &self.watch.status())
            .finish_non_exhaustive()
    }
}

/// The children of this process that have not ended, in the order in which they were started.
///
/// What is left of those that have ended is cleared away. The handles are for watching and
/// ending: they give no value, whatever the function returns.
///
/// Python: `multiprocessing.active_children()`.
///
/// # Examples
///
/// ```
/// use mp_process::{Process, active_children};
///
/// fn main() -> Result<(), mp_process::Error> {
///     mp_process::init();
///     let child = Process::call(|| std::thread::park()).name("waits").start()?;
///     assert_eq!(active_children()[0].name(), "waits");
///     child.kill()?;
///     child.wait();
///     assert!(active_children().is_empty());
///     Ok(())
/// }
/// ```
pub fn active_children() -> Vec<Child<NoValue>> {
    children::living().into_iter().map(Child::new).collect()
}

/// In place of a value's type, where a handle gives none.
#[derive(Debug)]
pub enum NoValue {}
