//! What a task can see of the worker that runs it. One thread-local, listed in the README.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

use crate::lane::{Lane, of_pool};
use crate::sys::{AtomicU64, Placed};

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

struct Worker {
    index: u32,
    /// The pool's line of the lane.
    pool: Placed<[AtomicU64; 8]>,
    /// The task that runs.
    task: u64,
    /// When its item began, if it runs against the clock.
    since: u64,
    initialised: bool,
    kept: HashMap<TypeId, Box<dyn Any>>,
}

fn with<R>(look: impl FnOnce(&mut Worker) -> R) -> Option<R> {
    WORKER.with_borrow_mut(|worker| worker.as_mut().map(look))
}

pub(crate) fn enter(lane: &Lane, index: u32) {
    let pool = lane.pool.clone();
    let worker =
        Worker { index, pool, task: 0, since: 0, initialised: false, kept: HashMap::new() };
    WORKER.set(Some(worker));
}

pub(crate) fn leave() {
    let worker = WORKER.take();
    drop(worker); // Outside of the borrow: what is kept may look at its worker while it goes.
}

pub(crate) fn begin(task: u64) {
    with(|worker| (worker.task, worker.since) = (task, 0));
}

pub(crate) fn begin_item(since: u64) {
    with(|worker| worker.since = since);
}

pub(crate) fn end() {
    with(|worker| worker.task = 0);
}

pub(crate) fn initialised() {
    with(|worker| worker.initialised = true);
}

pub(crate) fn is_initialised() -> bool {
    with(|worker| worker.initialised).unwrap_or(false)
}

/// How many bytes of memory this process has in use.
pub(crate) fn resident() -> u64 {
    resident_at("/proc/self/statm")
}

/// How many bytes of memory that process has in use; 0 if it is gone.
pub(crate) fn resident_of(pid: u32) -> u64 {
    resident_at(&format!("/proc/{pid}/statm"))
}

fn resident_at(path: &str) -> u64 {
    let statm = std::fs::read_to_string(path).unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Whether the running task has been asked to stop: its soft time limit has passed (in a chunk, its
/// item's), or
/// [`AsyncResult::ask_to_stop`](crate::AsyncResult::ask_to_stop) was called.
///
/// A task that looks now and then can end in its own way, with a result of its own. Always `false`
/// outside of a worker. Two loads of a word: cheap enough for an inner loop.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_pool::should_stop;
///
/// fn search(_: ()) -> u64 {
///     (0..).find(|_| should_stop()).unwrap() // As far as it came.
/// }
///
/// # let pool = mp_pool::Pool::builder().workers(1).threads().start()?;
/// assert!(pool.with().soft_timeout(Duration::from_millis(20)).apply(search, ()).is_ok());
/// assert!(!should_stop(), "nobody asks us");
/// # Ok::<(), mp_pool::Error>(())
/// ```
///
/// Python: billiard's `SoftTimeLimitExceeded`.
pub fn should_stop() -> bool {
    with(|worker| {
        let asked = |word: usize, number| {
            number != 0 && worker.pool[word].load(Ordering::Relaxed) == number
        };
        asked(of_pool::STOP, worker.task) || asked(of_pool::OVERDUE, worker.since)
    })
    .unwrap_or(false)
}

/// The number of the worker that runs this task, from 0; `None` outside of a worker.
///
/// A worker that replaces another has its number.
///
/// # Examples
///
/// ```
/// use mp_pool::worker_index;
///
/// # let pool = mp_pool::Pool::builder().workers(1).threads().start()?;
/// assert_eq!(pool.apply(|()| worker_index(), ())?, Some(0));
/// assert_eq!(worker_index(), None);
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub fn worker_index() -> Option<usize> {
    with(|worker| worker.index as usize)
}

/// Keeps `value` for the tasks to come on this worker; one value of each type.
///
/// Returns the value that was kept before. Outside of a worker nothing is kept and the value
/// comes straight back.
///
/// # Examples
///
/// ```
/// use mp_pool::{keep, with_kept};
///
/// fn count(_: ()) -> u64 {
///     if with_kept(|count: &mut u64| *count += 1).is_none() {
///         keep(1u64);
///     }
///     with_kept(|count: &mut u64| *count).unwrap()
/// }
///
/// # let pool = mp_pool::Pool::builder().workers(1).threads().start()?;
/// assert_eq!([pool.apply(count, ())?, pool.apply(count, ())?], [1, 2]);
/// assert_eq!(keep(5), Some(5), "there is no keeping here");
/// # Ok::<(), mp_pool::Error>(())
/// ```
///
/// Python: `global` variables set by `initializer`.
pub fn keep<T: 'static>(value: T) -> Option<T> {
    let mut value = Some(value);
    let old = with(|worker| {
        let value = value.take().map(|value| Box::new(value) as Box<dyn Any>);
        value.and_then(|value| worker.kept.insert(TypeId::of::<T>(), value))
    });
    match old {
        Some(old) => old.and_then(|old| old.downcast().ok()).map(|old| *old),
        None => value,
    }
}

/// Calls `use_it` with the `T` that this worker has [kept](keep). `None` if there is none.
///
/// While it is in use the value is out of its place: a nested call for the same type finds
/// nothing, and what it keeps is lost. If `use_it` panics, the value is gone.
///
/// # Examples
///
/// ```
/// use mp_pool::{keep, with_kept};
///
/// # let pool = mp_pool::Pool::builder().workers(1).threads().start()?;
/// pool.apply(|text: String| drop(keep(text)), "kept".to_string())?;
/// let length = |()| with_kept(|text: &mut String| text.len());
/// assert_eq!(pool.apply(length, ())?, Some(4));
/// assert_eq!(pool.apply(|()| with_kept(|_: &mut u8| ()), ())?, None, "there is no `u8`");
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub fn with_kept<T: 'static, R>(use_it: impl FnOnce(&mut T) -> R) -> Option<R> {
    let mut kept = with(|worker| worker.kept.remove(&TypeId::of::<T>()))??;
    let result = kept.downcast_mut::<T>().map(use_it);
    with(|worker| drop(worker.kept.insert(TypeId::of::<T>(), kept)));
    result
}
