//! Results one by one, from an input that is read as they are used up.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::assemble::results;
use crate::batch::{Batch, Mail};
use crate::call::Call;
use crate::flow::{Flow, PATIENCE};
use crate::inner::Inner;
use crate::{Error, TaskError};

/// How many nanoseconds of work make a trip to a worker worth while.
const WORTH_A_TRIP: u64 = 20_000;

/// A task of fewer nanoseconds is quick.
const QUICK: u64 = 50_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of the input.
    Input,
    /// That in which results arrive.
    Arrival,
}

/// The iterator that [`Pool::imap`](crate::Pool::imap) returns.
///
/// The input is read in the thread that calls `next`, and never further than the window beyond
/// what has been returned; so an endless input is fine, and a consumer that stops stops it. If
/// reading the input panics, the panic is the caller's; the pool is as before.
///
/// Dropping it takes back what has not begun.
///
/// Python: `IMapIterator`.
#[doc(alias = "IMapIterator")]
pub struct Imap<I: Iterator, R> {
    flow: Flow<I>,
    order: Order,
    /// Whether chunks follow the time that items take.
    adapts: bool,
    /// Whether tasks take so little time that results may as well come together.
    is_quick: bool,
    /// Results that can be returned.
    ready: VecDeque<Result<R, TaskError>>,
}

impl<I: Iterator, R> fmt::Debug for Imap<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("sent", &self.flow.sent)
            .field("returned", &self.flow.returned)
            .finish_non_exhaustive()
    }
}

impl<A, R, I> Imap<I, R>
where
    I: Iterator<Item = A>,
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    pub(crate) fn new(
        pool: &Arc<Inner>,
        call: Call,
        function: fn(A) -> R,
        input: I,
        order: Order,
    ) -> Imap<I, R> {
        // Where a worker's tasks are counted, an item is a task unless it is said otherwise.
        let counted = pool.settings.tasks_per_worker.or(pool.settings.memory_per_worker);
        let adapts = call.chunk.is_none() && counted.is_none();
        let batch = Batch::new(call.hook.clone());
        let mut flow = Flow::new(pool, call, batch, function, input);
        flow.refill();
        Imap { flow, order, adapts, is_quick: false, ready: VecDeque::new() }
    }

    /// As `next`, but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is up; the result can still be waited for. Otherwise
    /// [`Error::Task`], as `next` returns it.
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
    /// let mut naps = pool.imap(nap, [200]);
    /// assert!(matches!(naps.next_timeout(Duration::from_millis(1)), Err(Error::TimedOut)));
    /// assert_eq!(naps.next_timeout(Duration::from_secs(60))?, Some(200));
    /// assert_eq!(naps.next_timeout(Duration::ZERO)?, None, "that was all");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `IMapIterator.next(timeout)`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<R>, Error> {
        match self.next_until(Some(Deadline::after(timeout))) {
            Ok(next) => Ok(next.transpose()?),
            Err(TimedOut) => Err(Error::TimedOut),
        }
    }

    fn next_until(
        &mut self,
        deadline: Option<Deadline>,
    ) -> Result<Option<Result<R, TaskError>>, TimedOut> {
        loop {
            if self.ready.is_empty() || self.flow.room() >= self.flow.window.div_ceil(2) {
                self.flow.refill();
            }
            if let Some(result) = self.ready.pop_front() {
                self.flow.returned += 1;
                return Ok(Some(result));
            }
            if self.flow.is_over() {
                return Ok(None);
            }
            let patience = self.is_quick.then_some(PATIENCE);
            if !self.flow.pool.wait(&self.flow.batch, Mail::has_pieces, deadline, patience) {
                return Err(TimedOut);
            }
            self.take_in();
        }
    }

    /// Takes in the pieces that have come.
    fn take_in(&mut self) {
        let (mut last, ready) = (None, &mut self.ready);
        self.flow.take_in(self.order == Order::Input, |piece| {
            last = Some((piece.nanos, piece.nanos / u64::from(piece.count.max(1))));
            results(piece, |result| ready.push_back(result));
        });
        if let Some((task, item)) = last {
            self.is_quick = task < QUICK;
            if self.adapts {
                self.adapt(item);
            }
        }
    }

    /// Sends items that take only `nanos` in company: each keeps its own result, its own time limit
    /// and its own death, but they share the trip.
    fn adapt(&mut self, nanos: u64) {
        let together = (WORTH_A_TRIP / nanos.max(1)) as usize;
        let workers = self.flow.pool.settings.workers;
        self.flow.chunk = together.clamp(1, (self.flow.window / (4 * workers)).max(1));
    }
}

struct TimedOut;

impl<A, R, I> Iterator for Imap<I, R>
where
    I: Iterator<Item = A>,
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    type Item = Result<R, TaskError>;

    /// Waits for the next result; see [`Pool::imap`](crate::Pool::imap).
    fn next(&mut self) -> Option<Self::Item> {
        // Without a deadline it never times out.
        self.next_until(None).unwrap_or_default()
    }
}

impl<A, R, I> FusedIterator for Imap<I, R>
where
    I: Iterator<Item = A>,
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
}
