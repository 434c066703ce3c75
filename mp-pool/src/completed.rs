//! Waiting for several results.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use mp_sys::Deadline;
use parking_lot::{Condvar, Mutex};

use crate::batch::Effect;
use crate::{AsyncResult, Error};

/// What [`wait_for`] waits for.
///
/// Python: `concurrent.futures.FIRST_COMPLETED` and its fellows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Any one of the results.
    First,
    /// A result that is a failure, or all of them.
    FirstFailure,
    /// All of them.
    All,
}

/// The results that have come, by index, and somebody who waits for more.
#[derive(Debug, Default)]
struct Finish {
    come: Mutex<VecDeque<usize>>,
    news: Condvar,
}

/// One result on its way to the finish.
struct Runner {
    finish: Arc<Finish>,
    index: usize,
}

impl Wake for Runner {
    fn wake(self: Arc<Self>) {
        self.finish.come.lock().push_back(self.index);
        self.finish.news.notify_all();
    }
}

impl Finish {
    fn of<T>(results: &[AsyncResult<T>]) -> Arc<Finish> {
        let finish = Arc::new(Finish::default());
        for (index, result) in results.iter().enumerate() {
            let runner = Arc::new(Runner { finish: Arc::clone(&finish), index });
            result.pool.watch(&result.batch, Effect::Wake(Waker::from(runner)));
        }
        finish
    }

    fn next(&self, deadline: Option<Deadline>) -> Option<usize> {
        let mut come = self.come.lock();
        loop {
            if let Some(index) = come.pop_front() {
                return Some(index);
            }
            match deadline {
                None => self.news.wait(&mut come),
                Some(deadline) if deadline.has_passed() => return None,
                Some(deadline) => {
                    self.news.wait_for(&mut come, deadline.remaining());
                }
            }
        }
    }
}

/// Waits for results, and says which are there: their indices, in order.
///
/// With a timeout it may be fewer than were waited for.
///
/// # Blocking
///
/// As [`AsyncResult::get`].
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # use mp_pool::{Pool, Wait, wait_for};
/// # let pool = Pool::builder().workers(2).threads().start()?;
/// fn nap(millis: u64) { std::thread::sleep(Duration::from_millis(millis)) }
///
/// let naps = [pool.apply_async(nap, 200)?, pool.apply_async(nap, 1)?];
/// assert_eq!(wait_for(&naps, Wait::First, None), [1]);
/// assert_eq!(wait_for(&naps, Wait::All, Some(Duration::from_secs(60))), [0, 1]);
/// # Ok::<(), mp_pool::Error>(())
/// ```
///
/// Python: `concurrent.futures.wait(fs, timeout, return_when)`.
#[doc(alias = "FIRST_COMPLETED")]
#[doc(alias = "FIRST_EXCEPTION")]
#[doc(alias = "ALL_COMPLETED")]
pub fn wait_for<T>(
    results: &[AsyncResult<T>],
    wait: Wait,
    timeout: Option<Duration>,
) -> Vec<usize> {
    let deadline = timeout.map(Deadline::after);
    let finish = Finish::of(results);
    let mut come = 0;
    while come < results.len() {
        let Some(index) = finish.next(deadline) else { break };
        come += 1;
        let enough = match wait {
            Wait::First => true,
            Wait::FirstFailure => !results[index].successful().unwrap_or(true),
            Wait::All => false,
        };
        if enough {
            break;
        }
    }
    (0..results.len()).filter(|index| results[*index].ready()).collect()
}

/// Gives results in the order in which they come.
///
/// # Examples
///
/// ```
/// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
/// let results = (1..4u64).map(|x| pool.apply_async(|x: u64| x * x, x)).collect::<Result<Vec<_>, _>>()?;
/// let mut sum = 0;
/// for result in mp_pool::as_completed(results) {
///     sum += result.get()?;
/// }
/// assert_eq!(sum, 14);
/// # Ok::<(), mp_pool::Error>(())
/// ```
///
/// Python: `concurrent.futures.as_completed(fs)`.
pub fn as_completed<T>(results: impl IntoIterator<Item = AsyncResult<T>>) -> AsCompleted<T> {
    let results: Vec<_> = results.into_iter().collect();
    AsCompleted { finish: Finish::of(&results), given: 0, results }
}

/// The iterator that [`as_completed`] returns.
pub struct AsCompleted<T> {
    results: Vec<AsyncResult<T>>,
    finish: Arc<Finish>,
    given: usize,
}

impl<T> AsCompleted<T> {
    /// As `next`, but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is up; the others can still be waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use mp_pool::{Error, Pool, as_completed};
    /// # let pool = Pool::builder().workers(1).threads().start()?;
    /// fn nap(millis: u64) { std::thread::sleep(Duration::from_millis(millis)) }
    ///
    /// let mut naps = as_completed([pool.apply_async(nap, 300)?]);
    /// let soon = naps.next_timeout(Duration::from_millis(1));
    /// assert!(matches!(soon, Err(Error::TimedOut)));
    /// assert!(naps.next().is_some());
    /// assert!(naps.next_timeout(Duration::ZERO)?.is_none(), "there was but one");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// Python: `as_completed(fs, timeout)`, whose time is that of the whole iteration.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<AsyncResult<T>>, Error> {
        let deadline = Deadline::after(timeout);
        match self.next_until(Some(deadline)) {
            None if self.len() > 0 => Err(Error::TimedOut),
            next => Ok(next),
        }
    }

    fn next_until(&mut self, deadline: Option<Deadline>) -> Option<AsyncResult<T>> {
        if self.len() == 0 {
            return None;
        }
        let index = self.finish.next(deadline)?;
        self.given += 1;
        Some(self.results[index].clone())
    }
}

impl<T> Iterator for AsCompleted<T> {
    type Item = AsyncResult<T>;

    /// Waits for the next result to come.
    ///
    /// # Blocking
    ///
    /// As [`AsyncResult::get`].
    fn next(&mut self) -> Option<AsyncResult<T>> {
        self.next_until(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.results.len() - self.given;
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for AsCompleted<T> {}

impl<T> FusedIterator for AsCompleted<T> {}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.len()).finish_non_exhaustive()
    }
}
