//! The calls on a pool, and what they can be told.

use std::sync::Arc;
use std::time::Duration;

use mp_sys::memory::prefer_huge_pages;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::assemble::{append_all, assemble_all, assemble_one, results};
use crate::batch::Batch;
use crate::call::Call;
use crate::imap::{Imap, Order};
use crate::inner::Inner;
use crate::{AsyncResult, Error, Pool, Progress, TaskError, flow, function};

/// A [`Pool`] together with what the next call on it is to be told.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # use mp_pool::{Error, Pool, TaskError};
/// # let pool = Pool::builder().workers(2).threads().start()?;
/// fn nap(millis: u64) -> u64 {
///     std::thread::sleep(Duration::from_millis(millis));
///     millis
/// }
///
/// let limited = pool.with().timeout(Duration::from_millis(500));
/// assert_eq!(limited.apply(nap, 1)?, 1);
/// assert!(matches!(limited.apply(nap, 5_000), Err(Error::Task(TaskError::Timeout))));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until a call is made on it"]
pub struct With<'p> {
    pool: &'p Arc<Inner>,
    call: Call,
}

impl std::fmt::Debug for With<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("With")
            .field("limits", &self.call.limits)
            .field("chunk", &self.call.chunk)
            .field("window", &self.call.window)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Begins a call that is told more than what to do.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let careful = pool.with().timeout(Duration::from_secs(60)).retries(2);
    /// assert_eq!(careful.apply(|x: u64| x + 1, 1)?, 2);
    /// assert_eq!(careful.map(|x: u64| x + 1, 0..3)?, [1, 2, 3], "as often as you like");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn with(&self) -> With<'_> {
        let limits = self.inner.settings.limits;
        With { pool: &self.inner, call: Call { limits, ..Call::default() } }
    }
}

impl<'p> With<'p> {
    /// Ends the worker of a task that takes longer, counted from its start; the task's result is
    /// [`TaskError::Timeout`]. In a chunk, each item has the whole time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_pool::TaskError;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let limited = pool.with().timeout(Duration::from_millis(500)).chunk(3);
    /// let naps = limited.map_each(nap, [1, 5_000, 2])?;
    /// assert!(naps[0].is_ok() && naps[2].is_ok());
    /// assert!(matches!(naps[1], Err(TaskError::Timeout)));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.call.limits.timeout = Some(limit);
        self
    }

    /// Asks a task that takes longer to stop ([`should_stop`](crate::should_stop)).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_pool::should_stop;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let limited = pool.with().soft_timeout(Duration::from_millis(20));
    /// let rounds = limited.apply(|()| (0u64..).take_while(|_| !should_stop()).count(), ());
    /// assert!(rounds.is_ok(), "it ended in its own way");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn soft_timeout(mut self, limit: Duration) -> Self {
        self.call.limits.soft_timeout = Some(limit);
        self
    }

    /// Tries an item again, up to `times` times, when its worker dies or is ended for its time
    /// limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, Pool, TaskError};
    ///
    /// fn main() -> Result<(), Error> {
    ///     mp_process::init();
    ///     let pool = Pool::new(1)?;
    ///     let poison = pool.with().retries(2).apply(|()| -> () { std::process::abort() }, ());
    ///     assert!(matches!(poison, Err(Error::Task(TaskError::WorkerDied { .. }))));
    ///     assert_eq!(pool.stats().restarts, 3, "once, and twice again");
    ///     Ok(())
    /// }
    /// ```
    pub fn retries(mut self, times: u32) -> Self {
        self.call.limits.retries = times;
        self
    }

    /// Sends `items` items at a time.
    ///
    /// If it is not said, `map` cuts its input into 16 chunks for each worker, or more where one
    /// would fill an eighth of its ring, and `imap` sends items one by one, or a few together when
    /// they take only microseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::Error;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// assert_eq!(pool.with().chunk(3).map(|x: u64| x + 1, 0..4)?, [1, 2, 3, 4]);
    /// assert_eq!(pool.stats().workers.iter().map(|worker| worker.tasks).sum::<u64>(), 2);
    /// assert!(matches!(pool.with().chunk(0).map(|x: u64| x + 1, 0..4), Err(Error::Invalid(_))));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `chunksize`.
    #[doc(alias = "chunksize")]
    pub fn chunk(mut self, items: usize) -> Self {
        self.call.chunk = Some(items);
        self
    }

    /// Lets `imap` take at most `items` items from its input that it has not yet returned.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let read = Cell::new(0);
    /// let input = (0..).inspect(|_| read.set(read.get() + 1));
    /// let mut results = pool.with().window(1).imap(|x: u64| x + 1, input);
    /// assert_eq!((results.next().unwrap()?, read.get()), (1, 1), "one at a time");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `buffersize`.
    #[doc(alias = "buffersize")]
    pub fn window(mut self, items: usize) -> Self {
        self.call.window = Some(items);
        self
    }

    /// Has `hook` called with the progress of the call, on the pool's callback thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let (sender, news) = channel();
    /// let call = pool.with().chunk(5).on_progress(move |progress| drop(sender.send(progress)));
    /// call.map(|x: u64| x + 1, 0..10)?;
    /// assert!(news.iter().any(|progress| progress.fraction() == Some(1.0)));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn on_progress(mut self, hook: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.call.hook = Some(Arc::new(hook));
        self
    }

    /// As [`Pool::apply`].
    ///
    /// # Errors
    ///
    /// As [`Pool::apply`].
    pub fn apply<A, R>(&self, function: fn(A) -> R, args: A) -> Result<R, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.apply_async(function, args)?.get()
    }

    /// As [`Pool::apply_async`].
    ///
    /// # Errors
    ///
    /// As [`Pool::apply_async`].
    pub fn apply_async<A, R>(&self, function: fn(A) -> R, args: A) -> Result<AsyncResult<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.pool.core.lock().check_open()?;
        let name = function::name(function)?;
        let batch = Arc::new(Batch::single(self.call.hook.clone()));
        let mut tasks = Vec::with_capacity(1);
        self.call.pack(self.pool, &name, &batch, 0, &[args], &mut tasks, Vec::new);
        self.pool.submit(&mut tasks)?;
        Ok(AsyncResult::new(Arc::clone(self.pool), batch, assemble_one))
    }

    /// As [`Pool::map`].
    ///
    /// # Errors
    ///
    /// As [`Pool::map`].
    pub fn map<A, R>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        let items = items.into_iter();
        let mut values = Vec::with_capacity(items.size_hint().0);
        prefer_huge_pages(values.spare_capacity_mut());
        let mut values = Ok(values);
        flow::run(self.pool, &self.call, function, items, |piece| {
            if let Ok(so_far) = &mut values
                && let Err(error) = append_all(piece, so_far)
            {
                values = Err(error);
            }
        })?;
        Ok(values?)
    }

    /// As [`Pool::map_each`].
    ///
    /// # Errors
    ///
    /// As [`Pool::map_each`].
    pub fn map_each<A, R>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Result<R, TaskError>>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        let items = items.into_iter();
        let mut values = Vec::with_capacity(items.size_hint().0);
        flow::run(self.pool, &self.call, function, items, |piece| {
            results(piece, |item| values.push(item));
        })?;
        Ok(values)
    }

    /// As [`Pool::map_async`].
    ///
    /// # Errors
    ///
    /// As [`Pool::map_async`].
    pub fn map_async<A, R>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<AsyncResult<Vec<R>>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        let batch = self.call.send_all(self.pool, function, items)?;
        Ok(AsyncResult::new(Arc::clone(self.pool), batch, assemble_all))
    }

    /// As [`Pool::imap`].
    pub fn imap<A, R, I>(&self, function: fn(A) -> R, items: I) -> Imap<I::IntoIter, R>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        Imap::new(self.pool, self.call.clone(), function, items.into_iter(), Order::Input)
    }

    /// As [`Pool::imap_unordered`].
    pub fn imap_unordered<A, R, I>(&self, function: fn(A) -> R, items: I) -> Imap<I::IntoIter, R>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        Imap::new(self.pool, self.call.clone(), function, items.into_iter(), Order::Arrival)
    }
}
