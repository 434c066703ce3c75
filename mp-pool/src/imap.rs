//! Results one by one, from an input that is read as they are used up.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::async_result::results;
use crate::batch::{Batch, Mail, Piece};
use crate::call::Call;
use crate::inner::Inner;
use crate::{Error, TaskError, function};

/// How many nanoseconds of work make a trip to a worker worth while.
const WORTH_A_TRIP: u64 = 20_000;

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
    pool: Arc<Inner>,
    call: Call,
    batch: Arc<Batch>,
    name: Result<Arc<[u8]>, TaskError>,
    input: I,
    input_ended: bool,
    order: Order,
    chunk: usize,
    /// Whether `chunk` follows the time that items take.
    adapts: bool,
    window: usize,
    /// How many items have been sent.
    sent: u64,
    /// How many results have been returned.
    returned: u64,
    /// Pieces that came before their turn.
    early: BTreeMap<u64, Piece>,
    /// Results that can be returned.
    ready: VecDeque<Result<R, TaskError>>,
    /// Where the next result in order begins.
    next: u64,
    buffer: Vec<I::Item>,
}

impl<I: Iterator, R> fmt::Debug for Imap<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("sent", &self.sent)
            .field("returned", &self.returned)
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
        let (chunk, window) = call.chunk_and_window(pool);
        // Where a worker's tasks are counted, an item is a task unless it is said otherwise.
        let counted = pool.settings.tasks_per_worker.or(pool.settings.memory_per_worker);
        let adapts = call.chunk.is_none() && counted.is_none();
        let mut imap = Imap {
            batch: Arc::new(Batch::new(call.hook.clone())),
            name: function::name(function)
                .map_err(|error| TaskError::Codec(format!("function: {error}"))),
            pool: Arc::clone(pool),
            call,
            input,
            input_ended: false,
            order,
            chunk,
            adapts,
            window,
            sent: 0,
            returned: 0,
            early: BTreeMap::new(),
            ready: VecDeque::new(),
            next: 0,
            buffer: Vec::new(),
        };
        imap.refill();
        imap
    }

    /// As `next`, but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is up; the result can still be waited for. Otherwise
    /// [`Error::Task`], as `next` returns it.
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
            if self.ready.is_empty() || self.room() >= self.window.div_ceil(2) {
                self.refill();
            }
            if let Some(result) = self.ready.pop_front() {
                self.returned += 1;
                return Ok(Some(result));
            }
            if self.input_ended && self.returned == self.sent {
                return Ok(None);
            }
            if !self.pool.wait(&self.batch, Mail::has_pieces, deadline) {
                return Err(TimedOut);
            }
            self.take_in();
        }
    }

    /// Takes in the pieces that have come.
    fn take_in(&mut self) {
        let pieces = self.batch.look(|mail| std::mem::take(&mut mail.pieces));
        if self.adapts
            && let Some(piece) = pieces.last()
        {
            self.adapt(piece.nanos / u64::from(piece.count.max(1)));
        }
        let ready = &mut self.ready;
        if self.order == Order::Arrival {
            pieces.iter().for_each(|piece| results(piece, |result| ready.push_back(result)));
            return;
        }
        for piece in pieces {
            if piece.first == self.next {
                self.next += u64::from(piece.count);
                results(&piece, |result| ready.push_back(result));
                while let Some(piece) = self.early.remove(&self.next) {
                    self.next += u64::from(piece.count);
                    results(&piece, |result| ready.push_back(result));
                }
            } else {
                self.early.insert(piece.first, piece);
            }
        }
    }

    /// Sends items that take only `nanos` in company: each keeps its own result, its own time limit
    /// and its own death, but they share the trip.
    fn adapt(&mut self, nanos: u64) {
        let together = (WORTH_A_TRIP / nanos.max(1)) as usize;
        let workers = self.pool.settings.workers;
        self.chunk = together.clamp(1, (self.window / (4 * workers)).max(1));
    }

    /// How many more items may be on their way.
    fn room(&self) -> usize {
        self.window.saturating_sub((self.sent - self.returned) as usize)
    }

    /// Sends as much of the input as the window allows.
    fn refill(&mut self) {
        while !self.input_ended {
            let room = self.room();
            if room < self.chunk.min(self.window) {
                return;
            }
            // If the input panics, what it gave before is kept and sent by the next call.
            while self.buffer.len() < self.chunk.min(room) {
                match self.input.next() {
                    Some(item) => self.buffer.push(item),
                    None => {
                        self.input_ended = true;
                        break;
                    }
                }
            }
            if self.buffer.is_empty() {
                return;
            }
            let first = self.sent;
            self.sent += self.buffer.len() as u64;
            let sent = match &self.name {
                Ok(name) => {
                    self.call.send_chunk(&self.pool, name, &self.batch, first, &self.buffer)
                }
                Err(error) => Err(error.clone()),
            };
            if let Err(error) = sent {
                // The pool takes no more: one word about it, and the end.
                self.input_ended = true;
                self.sent = first + 1;
                self.batch.refuse(first, error);
            }
            self.buffer.clear();
        }
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

impl<I: Iterator, R> Drop for Imap<I, R> {
    fn drop(&mut self) {
        if self.returned < self.sent {
            self.pool.abandon(&self.batch);
        }
    }
}
