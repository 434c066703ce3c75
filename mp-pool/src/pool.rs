//! The pool.

use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::Phase;
use crate::imap::Imap;
use crate::inner::Inner;
use crate::{AsyncResult, Builder, Error, Stats, TaskError};

/// How long a worker that is asked to end by SIGTERM has before SIGKILL.
const GRACE: Duration = Duration::from_millis(100);

/// Workers that call functions.
///
/// A function is a plain `fn(A) -> R`: a function item, or a closure that captures nothing. One
/// with several arguments takes them as a tuple.
///
/// Dropping a pool [terminates](Pool::terminate) it and waits until its workers are gone, which
/// takes no longer than the kernel takes to end them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_pool::Pool;
///
/// fn square(x: u64) -> u64 { x * x }
///
/// # let pool = Pool::builder().workers(2).threads().start()?;
/// # let _ = "
/// let pool = Pool::new(2)?;
/// # ";
/// assert_eq!(pool.map(square, 0..5)?, [0, 1, 4, 9, 16]);
/// let answer = pool.apply_async(square, 10)?;
/// assert_eq!(answer.get_timeout(Duration::from_secs(5))?, 100);
/// # Ok::<(), mp_pool::Error>(())
/// ```
///
/// Python: `multiprocessing.Pool`, `concurrent.futures.ProcessPoolExecutor`.
#[derive(Debug)]
#[doc(alias = "ProcessPoolExecutor")]
#[doc(alias = "ThreadPool")]
pub struct Pool {
    pub(crate) inner: Arc<Inner>,
}

impl Pool {
    /// A pool of `workers` processes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for no workers, [`Error::Start`] if they cannot be started.
    ///
    /// Python: `Pool(processes)`.
    pub fn new(workers: usize) -> Result<Pool, Error> {
        Pool::builder().workers(workers).start()
    }

    /// A pool that is made to measure.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Calls `function` in a worker and waits for what it returns.
    ///
    /// # Blocking
    ///
    /// As [`AsyncResult::get`].
    ///
    /// # Errors
    ///
    /// [`Error::Task`] if the task failed, [`Error::Closed`] or [`Error::Broken`] if it was not
    /// taken.
    ///
    /// Python: `Pool.apply(func, args)`.
    pub fn apply<A, R>(&self, function: fn(A) -> R, args: A) -> Result<R, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.with().apply(function, args)
    }

    /// Has `function` called in a worker.
    ///
    /// An argument that cannot be encoded is the result's error, as one that cannot be decoded is.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] or [`Error::Broken`] if the task was not taken.
    ///
    /// Python: `Pool.apply_async(func, args)`, `Executor.submit(fn, *args)`.
    #[doc(alias = "submit")]
    pub fn apply_async<A, R>(&self, function: fn(A) -> R, args: A) -> Result<AsyncResult<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.with().apply_async(function, args)
    }

    /// Calls `function` with each item and waits for all results, in order.
    ///
    /// All items are tried, also when one fails.
    ///
    /// # Blocking
    ///
    /// As [`AsyncResult::get`].
    ///
    /// # Errors
    ///
    /// [`Error::Task`] with the first failure; [`map_each`](Pool::map_each) tells them all.
    ///
    /// Python: `Pool.map(func, iterable)`, and `Pool.starmap` where the items are tuples.
    #[doc(alias = "starmap")]
    pub fn map<A, R>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.with().map(function, items)
    }

    /// As [`map`](Pool::map), with a result for each item: a failure is one item's alone.
    ///
    /// # Blocking
    ///
    /// As [`AsyncResult::get`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] or [`Error::Broken`] if the tasks were not taken.
    pub fn map_each<A, R>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Result<R, TaskError>>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.with().map_each(function, items)
    }

    /// As [`map`](Pool::map), without waiting.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] or [`Error::Broken`] if the tasks were not taken.
    ///
    /// Python: `Pool.map_async`, `Pool.starmap_async`.
    #[doc(alias = "starmap_async")]
    pub fn map_async<A, R>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<AsyncResult<Vec<R>>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.with().map_async(function, items)
    }

    /// Calls `function` with each item; the results come one by one, in order.
    ///
    /// The input is read as the results are used up, so it may be endless ([`Imap`]). Failures are
    /// items as results are, and the iteration goes on after them.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let mut squares = pool.imap(|x: u64| x * x, 0..);
    /// assert_eq!(squares.next().unwrap()?, 0);
    /// assert_eq!(squares.nth(99).unwrap()?, 10_000);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `Pool.imap(func, iterable)`, `Executor.map(fn, iterable, buffersize)`.
    pub fn imap<A, R, I>(&self, function: fn(A) -> R, items: I) -> Imap<I::IntoIter, R>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        self.with().imap(function, items)
    }

    /// As [`imap`](Pool::imap), with the results in the order in which they come.
    ///
    /// Python: `Pool.imap_unordered(func, iterable)`.
    pub fn imap_unordered<A, R, I>(&self, function: fn(A) -> R, items: I) -> Imap<I::IntoIter, R>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        self.with().imap_unordered(function, items)
    }

    /// How many workers there should be.
    pub fn workers(&self) -> usize {
        self.inner.core.lock().target
    }

    /// Adds `workers` workers.
    ///
    /// Python: billiard's `Pool.grow(n)`.
    pub fn grow(&self, workers: usize) {
        self.inner.with(|core| core.resize(core.target + workers));
        self.inner.bell.knock();
    }

    /// Ends `workers` workers, but not the last one: idle ones first, the others once they are
    /// through with what they run.
    ///
    /// Python: billiard's `Pool.shrink(n)`.
    pub fn shrink(&self, workers: usize) {
        self.inner.with(|core| core.resize(core.target.saturating_sub(workers).max(1)));
        self.inner.bell.knock();
    }

    /// What the pool is doing and has done.
    pub fn stats(&self) -> Stats {
        self.inner.with(|core| {
            core.pump();
            core.stats()
        })
    }

    /// Takes no more tasks; those that were handed in are done, and then the workers end.
    ///
    /// Python: `Pool.close()`, `Executor.shutdown(wait=False)`.
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        self.inner.with(|core| {
            if core.phase == Phase::Open {
                core.phase = Phase::Closed;
            }
        });
        self.inner.bell.knock();
    }

    /// As [`close`](Pool::close), and tasks that have not begun are cancelled.
    ///
    /// Python: `Executor.shutdown(wait=False, cancel_futures=True)`.
    #[doc(alias = "cancel_futures")]
    pub fn close_and_cancel(&self) {
        self.close();
        self.inner.with(|core| {
            core.admits = false;
            let ids = core.ledger.ids().map(|(id, _)| id).collect();
            core.withdraw(ids);
        });
        self.inner.bell.ring();
    }

    /// Ends everything: results that have not come are [`TaskError::Cancelled`], workers are sent
    /// SIGTERM, and SIGKILL a tenth of a second later.
    ///
    /// Returns at once; [`join`](Pool::join) waits. A thread cannot be ended: a thread-backed pool
    /// leaves its running tasks behind.
    ///
    /// Python: `Pool.terminate()`, `Executor.terminate_workers()`.
    #[doc(alias = "terminate_workers")]
    pub fn terminate(&self) {
        self.inner.end(GRACE);
    }

    /// As [`terminate`](Pool::terminate), with SIGKILL at once.
    ///
    /// Python: `Executor.kill_workers()`.
    #[doc(alias = "kill_workers")]
    pub fn kill(&self) {
        self.inner.end(Duration::ZERO);
    }

    /// Waits until a closed or terminated pool has ended: all results are there, all callbacks
    /// have run, all workers are gone.
    ///
    /// # Blocking
    ///
    /// Waits for the tasks that were handed in, and for callbacks. A worker that dies is replaced
    /// while there is something to do: *recovers*. A task or a callback that never ends is waited
    /// for.
    ///
    /// # Errors
    ///
    /// [`Error::StillOpen`] if the pool would go on for ever.
    ///
    /// Python: `Pool.join()`, `Executor.shutdown(wait=True)`.
    pub fn join(&self) -> Result<(), Error> {
        self.join_until(None)
    }

    /// As [`join`](Pool::join), but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is up. Otherwise as `join`.
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.join_until(Some(Deadline::after(timeout)))
    }

    fn join_until(&self, deadline: Option<Deadline>) -> Result<(), Error> {
        if self.inner.core.lock().phase == Phase::Open {
            return Err(Error::StillOpen);
        }
        if !self.inner.wait_gone(deadline) {
            return Err(Error::TimedOut);
        }
        self.inner.callbacks.join();
        Ok(())
    }
}

impl Drop for Pool {
    /// Terminates the pool and waits until its workers are gone.
    fn drop(&mut self) {
        // A copy of the pool in a forked child is not the child's to end.
        if self.inner.creator == std::process::id() {
            self.terminate();
            self.inner.wait_gone(None);
        }
    }
}
