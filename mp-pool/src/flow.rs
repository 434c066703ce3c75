//! A flow: a call whose input is read as its results come in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use mp_sys::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::{Batch, Content, Mail, Piece};
use crate::call::Call;
use crate::core::SHORT;
use crate::inner::{Admission, Inner};
use crate::work::Work;
use crate::{Error, TaskError, function};

/// How many chunks `map` has on their way, for each worker: enough that none runs dry.
const CHUNKS_AHEAD: usize = 6;

/// What part of a worker's ring an automatic chunk fills.
const PART_OF_RING: usize = 8;

/// How many chunks are handed in together, at most.
const GROUP: usize = 16;

/// An input that takes longer than this over a group is slow: what it gives is handed in at once.
const QUICK_INPUT: Duration = Duration::from_micros(20);

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
    /// How many bytes the last group had for each of its chunks.
    bytes: usize,
    /// How many chunks go together, from an input that has so many more and is quick.
    group: usize,
    /// What has been read and not handed in, since the input panicked.
    tasks: Vec<Work>,
    /// Memory for messages: that of results which have been taken in.
    spare: Vec<Vec<u8>>,
    pub(crate) sent: u64,
    pub(crate) returned: u64,
    /// Where the next piece in order begins.
    next: u64,
    /// Pieces that came before their turn.
    early: BinaryHeap<Reverse<Piece>>,
    /// Where pieces are put while they are handed on.
    arrived: Vec<Piece>,
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
            group: 1,
            tasks: Vec::new(),
            spare: Vec::new(),
            sent: 0,
            returned: 0,
            next: 0,
            early: BinaryHeap::new(),
            arrived: Vec::new(),
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
        if self.input_ended {
            return;
        }
        let mut begin = Deadline::now();
        loop {
            self.read_group();
            self.hand_in();
            if self.input_ended || self.room() < self.chunk.min(self.window) {
                return;
            }
            let end = Deadline::now();
            let is_quick = end < begin.plus(QUICK_INPUT);
            self.group = if is_quick { (2 * self.group).min(GROUP) } else { 1 };
            begin = end;
        }
    }

    /// Reads and encodes some chunks. More than one only if the input says that it has them: one
    /// that may keep us waiting gets what it has given handed in first.
    fn read_group(&mut self) {
        let sure = (self.input.size_hint().0 / self.chunk).clamp(1, self.group);
        self.bytes = 0;
        for _ in 0..sure {
            let wanted = self.chunk.min(self.room());
            if wanted < self.chunk.min(self.window) || self.input_ended {
                break;
            }
            // If the input panics, what it gave before is kept and sent by the next call.
            let missing = wanted.saturating_sub(self.buffer.len());
            self.buffer.extend(self.input.by_ref().take(missing));
            self.input_ended = self.buffer.len() < wanted;
            let first = self.sent;
            match &self.name {
                _ if self.buffer.is_empty() => break,
                Ok(name) => {
                    self.batch.expect(self.buffer.len() as u64);
                    self.sent += self.buffer.len() as u64;
                    let spare = || self.spare.pop().unwrap_or_default();
                    let (pool, batch, tasks) = (&self.pool, &self.batch, &mut self.tasks);
                    let bytes =
                        self.call.pack(pool, name, batch, first, &self.buffer, tasks, spare);
                    self.bytes = self.bytes.max(bytes);
                }
                Err(error) => {
                    let error = error.clone();
                    self.give_up(first, error);
                }
            }
            self.buffer.clear();
        }
    }

    fn hand_in(&mut self) {
        let Some(first) = self.tasks.first().map(|work| work.first) else { return };
        if let Err(error) = self.pool.submit(&mut self.tasks) {
            self.tasks.clear();
            self.give_up(first, error);
        }
    }

    /// The pool takes no more: one word about it, and the end.
    fn give_up(&mut self, first: u64, error: TaskError) {
        self.input_ended = true;
        self.sent = first + 1;
        self.batch.refuse(first, error);
    }

    /// Hands the pieces that have come to `each`; those before their turn later, if `in_order`.
    pub(crate) fn take_in(&mut self, in_order: bool, mut each: impl FnMut(&Piece)) {
        let mut arrived = std::mem::take(&mut self.arrived);
        self.batch.look(|mail| std::mem::swap(&mut mail.pieces, &mut arrived));
        for piece in arrived.drain(..) {
            if in_order && piece.first != self.next {
                self.early.push(Reverse(piece));
                continue;
            }
            self.hand_on(piece, &mut each);
            while let Some(Reverse(piece)) = self.early.peek()
                && piece.first == self.next
                && let Some(Reverse(piece)) = self.early.pop()
            {
                self.hand_on(piece, &mut each);
            }
        }
        self.arrived = arrived;
    }

    fn hand_on(&mut self, piece: Piece, each: &mut impl FnMut(&Piece)) {
        self.next += u64::from(piece.count);
        each(&piece);
        if let Content::Reply { bytes, .. } = piece.content
            && bytes.capacity() <= SHORT
            && self.spare.len() < GROUP
        {
            self.spare.push(bytes);
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
        let mut returned = 0;
        flow.take_in(true, |piece| {
            returned += u64::from(piece.count);
            each(piece);
        });
        flow.returned += returned;
    }
    Ok(())
}
