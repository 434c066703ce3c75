//! `JoinableQueue`: a queue that knows when all that was put is done.

use std::ops::Deref;
use std::time::Duration;

use crate::op::{Op, QueueOp};
use crate::protocol::Patience;
use crate::proxy::proxy;
use crate::{Error, Queue};

/// A queue that lives in a manager's server and knows when all that was put is done.
///
/// In all else it is a [`Queue`], with that one's methods: but a value that was got belongs to the process that got it until that calls
/// [`task_done`](JoinableQueue::task_done). If the process dies before, the value is the next to
/// be got by another: so each value is done at least once, whoever dies.
///
/// Python: `SyncManager.JoinableQueue(maxsize)`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let jobs = manager.joinable_queue::<u32>(0)?;
/// jobs.extend([1, 2])?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         for _ in 0..2 {
///             jobs.get().unwrap();
///             jobs.task_done().unwrap();
///         }
///     });
///     jobs.join()
/// })?;
/// assert!(matches!(jobs.task_done(), Err(Error::Overflow)), "nothing is left to be done");
/// # Ok(())
/// # }
/// ```
pub struct JoinableQueue<T> {
    queue: Queue<T>,
}

proxy!(JoinableQueue<T>, JoinableQueue, inside queue);

impl<T> Deref for JoinableQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.queue
    }
}

impl<T> JoinableQueue<T> {
    /// Reports the value that this process got first, of those that it has not reported, as done.
    ///
    /// # Errors
    ///
    /// [`Error::Overflow`] when it was called more often than `get` in this process;
    /// [`Error::Disconnected`].
    pub fn task_done(&self) -> Result<(), Error> {
        self.queue.handle.unit(Op::Queue(QueueOp::Done(1)))
    }

    /// Waits until all that was put is done.
    ///
    /// # Blocking
    ///
    /// Waits for the consumers' [`task_done`](JoinableQueue::task_done). If a consumer dies
    /// before that: *recovers* if another stands ready to get its value, and otherwise *reports*
    /// [`Error::ConsumerDied`]; it may then be called again. A consumer that lives and never
    /// reports keeps it waiting.
    ///
    /// # Errors
    ///
    /// [`Error::ConsumerDied`], [`Error::Disconnected`].
    pub fn join(&self) -> Result<(), Error> {
        self.queue.handle.unit(Op::Queue(QueueOp::Join(Patience::Forever)))
    }

    /// As [`join`](JoinableQueue::join), no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`join`](JoinableQueue::join), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`join`](JoinableQueue::join); [`Error::TimedOut`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.queue.handle.unit(Op::Queue(QueueOp::Join(Patience::of(Some(timeout)))))
    }
}
