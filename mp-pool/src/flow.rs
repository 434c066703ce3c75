//! A flow: a call whose input is read as its results come in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::{Batch, Mail, Piece};
use crate::call::Call;
use crate::inner::{Admission, Inner};
use crate::{Error, TaskError, function};

/// How many chunks `map` has on their way, for each worker: enough that none runs dry.
const CHUNKS_AHEAD: usize = 6;

/// What part of a worker's ring an automatic chunk fills.
const PART_OF_RING: usize = 8;

/// How much later results may come for coming many at once.
pub(crate) const PATIENCE: Duration = Duration::from_micros(200);

/// The input of a call on its way to the workers, and the pieces that come back.
pub(crate) struct Flow<I: Iterator> {
    pub(crate) pool: Arc<Inner>,
    call: Call,
    pub(crate) batch: Arc<Batch>,
    name: Result<Arc<[u8]>, TaskError>,
    input: I,
    input_ended: bool,
    /// What has been read and not sent.
    buffer: Vec<I::Item>,
    /// How many items go together.
    pub(crate) chunk: usize,
    /// How many items may have been sent and not been [returned](Flow::returned).
    pub(crate) window: usize,
    /// How many bytes the last chunk had.
    bytes: usize,
    pub(crate) sent: u64,
    pub(crate) returned: u64,
    /// Where the next piece in order begins.
    next: u64,
    /// Pieces that came before their turn.
    early: BTreeMap<u64, Piece>,
}

impl<A, I> Flow<I>
where
    I: Iterator<Item = A>,
    A: Serialize + DeserializeOwned + 'static,
{
    pub(crate) fn new<R: Serialize + DeserializeOwned + 'static>(
        pool: &Arc<Inner>,
        call: Call,
        batch: Batch,
        function: fn(A) -> R,
        input: I,
    ) -> Flow<I> {
        let (chunk, window) = call.chunk_and_window(pool);
        Flow {
            batch: Arc::new(batch),
            name: function::name(function)
                .map_err(|error| TaskError::Codec(format!("function: {error}"))),
            pool: Arc::clone(pool),
            call,
            input,
            input_ended: false,
            buffer: Vec::new(),
            chunk,
            window,
            bytes: 0,
            sent: 0,
            returned: 0,
            next: 0,
            early: BTreeMap::new(),
        }
    }

    /// Whether the input is at its end and everything has been returned.
    pub(crate) fn is_over(&self) -> bool {
        self.input_ended && self.returned == self.sent
    }

    /// How many more items may be on their way.
    pub(crate) fn room(&self) -> usize {
        self.window.saturating_sub((self.sent - self.returned) as usize)
    }

    /// Sends as much of the input as the window allows.
    pub(crate) fn refill(&mut self) {
        while !self.input_ended {
            let room = self.room();
            if room < self.chunk.min(self.window) {
                return;
            }
            // If the input panics, what it gave before is kept and sent by the next call.
            let wanted = self.chunk.min(room).saturating_sub(self.buffer.len());
            self.buffer.extend(self.input.by_ref().take(wanted));
            self.input_ended = self.buffer.len() < self.chunk.min(room);
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
            match sent {
                Ok(bytes) => self.bytes = bytes,
                Err(error) => {
                    // The pool takes no more: one word about it, and the end.
                    self.input_ended = true;
                    self.sent = first + 1;
                    self.batch.refuse(first, error);
                }
            }
            self.buffer.clear();
        }
    }

    /// Takes the pieces that have come.
    pub(crate) fn arrived(&self) -> Vec<Piece> {
        self.batch.look(|mail| std::mem::take(&mut mail.pieces))
    }

    /// Hands on those of `pieces` whose turn it is, and keeps the others.
    pub(crate) fn in_order(&mut self, pieces: Vec<Piece>, mut each: impl FnMut(&Piece)) {
        for piece in pieces {
            if piece.first != self.next {
                self.early.insert(piece.first, piece);
                continue;
            }
            self.next += u64::from(piece.count);
            each(&piece);
            while let Some(piece) = self.early.remove(&self.next) {
                self.next += u64::from(piece.count);
                each(&piece);
            }
        }
    }
}

impl<I: Iterator> Drop for Flow<I> {
    fn drop(&mut self) {
        if self.returned < self.sent {
            self.pool.abandon(&self.batch);
        }
    }
}

/// Calls `function` with all `items`, and `each` with the results in order.
///
/// A pool that is closed meanwhile takes the rest of the call all the same.
pub(crate) fn run<A, R>(
    pool: &Arc<Inner>,
    call: &Call,
    function: fn(A) -> R,
    items: impl Iterator<Item = A>,
    mut each: impl FnMut(&Piece),
) -> Result<(), Error>
where
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    let _admission = Admission::new(pool)?;
    let (low, high) = items.size_hint();
    let total = high.filter(|high| *high == low);
    let largest = match (call.chunk, total) {
        (Some(0), _) => return Err(Error::Invalid("a chunk has at least one item")),
        (Some(chunk), _) => chunk,
        (None, Some(len)) => call.cut(pool, len),
        // An input of unknown length is read to its end first, as Python does.
        (None, None) => {
            let all: Vec<A> = items.collect();
            return run(pool, call, function, all.into_iter(), each);
        }
    };
    let workers = pool.core.lock().target.max(1);
    let ring = pool.settings.lane_bytes / PART_OF_RING;
    let mut flow =
        Flow::new(pool, call.clone(), Batch::admitted(call.hook.clone(), total), function, items);
    flow.chunk = largest.min(ring / size_of::<A>().max(1)).max(1);
    while !flow.is_over() {
        if call.chunk.is_some() {
            flow.chunk = largest;
        } else if flow.bytes > ring {
            flow.chunk = (flow.chunk / 2).max(1);
        } else if flow.bytes < ring / 2 {
            flow.chunk = (flow.chunk * 2).min(largest);
        }
        flow.window = flow.chunk.saturating_mul(CHUNKS_AHEAD * workers);
        flow.refill();
        if flow.is_over() {
            break;
        }
        pool.wait(&flow.batch, Mail::has_pieces, None, Some(PATIENCE));
        let (pieces, mut returned) = (flow.arrived(), 0);
        flow.in_order(pieces, |piece| {
            returned += u64::from(piece.count);
            each(piece);
        });
        flow.returned += returned;
    }
    Ok(())
}
