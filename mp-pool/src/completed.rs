//! Waiting for several results.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use mp_sys::Deadline;
use parking_lot::{Condvar, Mutex};

use crate::AsyncResult;
use crate::batch::Effect;

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
/// # Blocking
///
/// The iterator's `next` waits as [`AsyncResult::get`] does.
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
pub fn as_completed<T>(
    results: impl IntoIterator<Item = AsyncResult<T>>,
) -> impl Iterator<Item = AsyncResult<T>> {
    let results: Vec<_> = results.into_iter().collect();
    let finish = Finish::of(&results);
    (0..results.len()).filter_map(move |_| Some(results[finish.next(None)?].clone()))
}
