//! A result that is on its way.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mp_sys::Deadline;

use crate::Error;
use crate::assemble::is_successful;
use crate::batch::{Batch, Effect, Mail, Piece};
use crate::inner::Inner;

/// The result of an asynchronous call, which may not be there yet.
///
/// It is a handle: a clone stands for the same call, and dropping it ends nothing. It is also a
/// `Future`, for whatever runtime.
///
/// Python: `AsyncResult`, `concurrent.futures.Future`.
#[doc(alias = "Future")]
pub struct AsyncResult<T> {
    pub(crate) pool: Arc<Inner>,
    pub(crate) batch: Arc<Batch>,
    assemble: fn(&[Piece]) -> Result<T, Error>,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for AsyncResult<T> {
    fn clone(&self) -> Self {
        AsyncResult {
            pool: Arc::clone(&self.pool),
            batch: Arc::clone(&self.batch),
            assemble: self.assemble,
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").field("ready", &self.ready()).finish_non_exhaustive()
    }
}

impl<T> AsyncResult<T> {
    pub(crate) fn new(
        pool: Arc<Inner>,
        batch: Arc<Batch>,
        assemble: fn(&[Piece]) -> Result<T, Error>,
    ) -> AsyncResult<T> {
        AsyncResult { pool, batch, assemble, value: PhantomData }
    }

    /// Waits for the result.
    ///
    /// It can be asked for any number of times; each time it is decoded anew.
    ///
    /// # Blocking
    ///
    /// Waits for the workers. If one dies it *reports* [`TaskError::WorkerDied`]; if the pool ends
    /// it *reports* [`TaskError::Cancelled`].
    ///
    /// [`TaskError::WorkerDied`]: crate::TaskError::WorkerDied
    /// [`TaskError::Cancelled`]: crate::TaskError::Cancelled
    ///
    /// # Errors
    ///
    /// [`Error::Task`] if the task failed; of several, the first one.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let answer = pool.apply_async(|x: u64| 6 / x, 3)?;
    /// assert_eq!((answer.get()?, answer.get()?), (2, 2), "as often as you like");
    /// let failed = pool.apply_async(|x: u64| 6 / x, 0)?;
    /// assert!(failed.get().unwrap_err().to_string().contains("divide by zero"));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `AsyncResult.get()`, `Future.result()`.
    pub fn get(&self) -> Result<T, Error> {
        self.get_until(None)
    }

    /// As [`get`](AsyncResult::get), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is up: the task goes on. Otherwise as `get`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_pool::Error;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let answer = pool.apply_async(nap, 200)?;
    /// assert!(matches!(answer.get_timeout(Duration::from_millis(1)), Err(Error::TimedOut)));
    /// assert_eq!(answer.get_timeout(Duration::from_secs(60))?, 200, "it went on");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.get_until(Some(Deadline::after(timeout)))
    }

    /// As [`get`](AsyncResult::get), but does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::NotReady`] if it is not there. Otherwise as `get`.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let answer = pool.apply_async(nap, 200)?;
    /// assert!(matches!(answer.try_get(), Err(mp_pool::Error::NotReady)));
    /// answer.wait();
    /// assert_eq!(answer.try_get()?, 200);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn try_get(&self) -> Result<T, Error> {
        if self.ready() { self.take() } else { Err(Error::NotReady) }
    }

    fn get_until(&self, deadline: Option<Deadline>) -> Result<T, Error> {
        if self.pool.wait(&self.batch, Mail::is_complete, deadline, None) {
            self.take()
        } else {
            Err(Error::TimedOut)
        }
    }

    fn take(&self) -> Result<T, Error> {
        self.batch.look(|mail| {
            mail.pieces.sort_by_key(|piece| piece.first);
            (self.assemble)(&mail.pieces)
        })
    }

    /// Waits until the call is over, well or badly.
    ///
    /// # Blocking
    ///
    /// As [`get`](AsyncResult::get).
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let failed = pool.apply_async(|x: u64| 6 / x, 0)?;
    /// failed.wait();
    /// assert!(failed.ready(), "badly");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `AsyncResult.wait()`.
    pub fn wait(&self) {
        self.pool.wait(&self.batch, Mail::is_complete, None, None);
    }

    /// As [`wait`](AsyncResult::wait), but no longer than `timeout`; `false` if it is not over.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let answer = pool.apply_async(nap, 200)?;
    /// assert!(!answer.wait_timeout(Duration::from_millis(1)));
    /// assert!(answer.wait_timeout(Duration::from_secs(60)));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.pool.wait(&self.batch, Mail::is_complete, Some(Deadline::after(timeout)), None)
    }

    /// Whether the call is over, well or badly.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let answer = pool.apply_async(nap, 200)?;
    /// assert!(!answer.ready());
    /// answer.wait();
    /// assert!(answer.ready());
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `AsyncResult.ready()`, `Future.done()`.
    #[doc(alias = "done")]
    pub fn ready(&self) -> bool {
        self.batch.is_complete()
    }

    /// Whether the call is over and nothing failed.
    ///
    /// # Errors
    ///
    /// [`Error::NotReady`] if it is not over.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let halves = pool.map_async(|x: u64| 6 / x, 0..3)?;
    /// halves.wait();
    /// assert!(!halves.successful()?, "one of three has failed");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `AsyncResult.successful()`.
    pub fn successful(&self) -> Result<bool, Error> {
        self.batch.look(|mail| match mail.is_complete() {
            true => Ok(mail.pieces.iter().all(is_successful)),
            false => Err(Error::NotReady),
        })
    }

    /// Cancels the call: what waits is taken back, what runs is ended together with its worker,
    /// which is replaced. Results that have come stay.
    ///
    /// `false` if the call was over already.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, TaskError};
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let answer = pool.apply_async(nap, 500)?;
    /// assert!(answer.cancel());
    /// assert!(matches!(answer.get(), Err(Error::Task(TaskError::Cancelled))));
    /// assert!(!answer.cancel(), "it is over");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `Future.cancel()`, which leaves a running task alone.
    pub fn cancel(&self) -> bool {
        if self.ready() {
            return false;
        }
        self.pool.with(|core| core.cancel(&self.batch));
        self.pool.bell.ring();
        true
    }

    /// Asks the running tasks of the call to stop ([`should_stop`](crate::should_stop)).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::should_stop;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let counted = pool.apply_async(|()| (0u64..).take_while(|_| !should_stop()).count(), ())?;
    /// while pool.stats().workers.iter().all(|worker| worker.running.is_none()) {
    ///     std::thread::yield_now();
    /// }
    /// counted.ask_to_stop();
    /// assert!(counted.get().is_ok(), "it ended in its own way");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn ask_to_stop(&self) {
        self.pool.with(|core| core.ask_to_stop(&self.batch));
    }
}

impl<T: Send + 'static> AsyncResult<T> {
    /// Has `callback` called with the result, on the pool's callback thread.
    ///
    /// Callbacks run one after the other; one that blocks delays the others, but no result. A
    /// panic in one is logged.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let (sender, news) = channel();
    /// let answer = pool.apply_async(|x: u64| 6 / x, 0)?;
    /// answer.on_ready(move |result| sender.send(result.is_err()).unwrap());
    /// assert!(news.recv().unwrap(), "failures are told, too");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `callback` and `error_callback`, `Future.add_done_callback()`.
    #[doc(alias = "add_done_callback")]
    #[doc(alias = "callback")]
    #[doc(alias = "error_callback")]
    pub fn on_ready(&self, callback: impl FnOnce(Result<T, Error>) + Send + 'static) {
        let result = self.clone();
        let call = Box::new(move || callback(result.take()));
        self.pool.watch(&self.batch, Effect::Call(call));
    }
}

/// Never fails to make progress: the waker is kept until the result has come.
impl<T> Future for AsyncResult<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.batch.watch(Effect::Wake(context.waker().clone())) {
            None => Poll::Pending,
            Some(_) => Poll::Ready(self.take()),
        }
    }
}
