//! The pool.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::imap::Imap;
use crate::inner::Inner;
use crate::{AsyncResult, Builder, Error, Stats, TaskError};

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
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, Pool};
    ///
    /// fn main() -> Result<(), Error> {
    ///     mp_process::init(); // A worker begins here, and never returns.
    ///     assert_eq!(Pool::new(1)?.apply(|x: u64| x + 1, 1)?, 2);
    ///     assert!(matches!(Pool::new(0), Err(Error::Invalid(_))));
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Python: `Pool(processes)`.
    pub fn new(workers: usize) -> Result<Pool, Error> {
        Pool::builder().workers(workers).start()
    }

    /// A pool that is made to measure.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = mp_pool::Pool::builder().workers(2).threads().tasks_per_worker(100).start()?;
    /// assert_eq!(pool.workers(), 2);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
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
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, TaskError};
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// assert_eq!(pool.apply(|(a, b): (u32, u32)| a / b, (7, 2))?, 3);
    /// let failed = pool.apply(|(a, b): (u32, u32)| a / b, (7, 0));
    /// assert!(matches!(failed, Err(Error::Task(TaskError::Panicked(_)))));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
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
    /// # Examples
    ///
    /// ```
    /// use mp_pool::Error;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let answer = pool.apply_async(|x: u64| x * x, 12)?;
    /// assert_eq!(answer.get()?, 144);
    /// pool.close();
    /// assert!(matches!(pool.apply_async(|x: u64| x * x, 12), Err(Error::Closed)));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
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
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, TaskError};
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// assert_eq!(pool.map(|x: u64| x * x, 0..4)?, [0, 1, 4, 9]);
    /// assert_eq!(pool.map(|x: u64| x * x, [])?, []);
    /// let failed = pool.map(|x: u64| 6 / x, 0..4);
    /// assert!(matches!(failed, Err(Error::Task(TaskError::Panicked(_)))), "one of four");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let results = pool.map_each(|x: u64| 6 / x, 0..4)?;
    /// assert!(results[0].is_err());
    /// assert_eq!(results[3].as_ref().unwrap(), &2);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
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
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let squares = pool.map_async(|x: u64| x * x, 0..4)?;
    /// assert_eq!(squares.get()?, [0, 1, 4, 9]);
    /// assert!(pool.map_async(|x: u64| x * x, [])?.ready(), "nothing is ready at once");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
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
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let mut naps = pool.imap_unordered(nap, [200, 1]);
    /// assert_eq!(naps.next().unwrap()?, 1);
    /// assert_eq!(naps.next().unwrap()?, 200);
    /// assert!(naps.next().is_none());
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// pool.grow(1);
    /// assert_eq!(pool.workers(), 3, "whether they have come to life or not");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn workers(&self) -> usize {
        self.inner.core.lock().target
    }

    /// Adds `workers` workers.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// pool.grow(2);
    /// while pool.stats().workers.len() < 4 {
    ///     std::thread::yield_now();
    /// }
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: billiard's `Pool.grow(n)`.
    pub fn grow(&self, workers: usize) {
        self.inner.with(|core| core.resize(core.target + workers));
        self.inner.bell.knock();
    }

    /// Ends `workers` workers, but not the last one: idle ones first, the others once they are
    /// through with what they run.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let squares = pool.map_async(|x: u64| x * x, 0..100)?;
    /// pool.shrink(5);
    /// assert_eq!(pool.workers(), 1, "the last one stays");
    /// assert_eq!(squares.get()?.len(), 100, "and nothing is lost");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: billiard's `Pool.shrink(n)`.
    pub fn shrink(&self, workers: usize) {
        self.inner.with(|core| core.resize(core.target.saturating_sub(workers).max(1)));
        self.inner.bell.knock();
    }

    /// What the pool is doing and has done.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// pool.map(|x: u64| x * x, 0..100)?;
    /// let stats = pool.stats();
    /// assert_eq!((stats.items, stats.waiting, stats.queued), (100, 0, 0));
    /// assert_eq!(stats.workers.iter().map(|worker| worker.items).sum::<u64>(), 100);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn stats(&self) -> Stats {
        self.inner.with(|core| {
            core.pump();
            core.stats()
        })
    }
}
