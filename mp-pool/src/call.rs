//! Handing in a call: items become chunks, chunks become tasks.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use mp_sys::fd_table;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::{Batch, Content, Hook, Piece};
use crate::inner::Inner;
use crate::job::begin_body;
use crate::work::{Limits, Work};
use crate::{Error, TaskError, codec, function};

/// What a call was told.
#[derive(Clone, Default)]
pub(crate) struct Call {
    pub(crate) limits: Limits,
    pub(crate) chunk: Option<usize>,
    pub(crate) window: Option<usize>,
    pub(crate) hook: Option<Hook>,
}

impl Call {
    /// Cuts `items` into chunks and hands them in.
    pub(crate) fn send_all<A, R>(
        &self,
        pool: &Arc<Inner>,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Arc<Batch>, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        pool.core.lock().check_open()?;
        let name = function::name(function)?;
        let mut items = items.into_iter();
        let size = match (self.chunk, items.size_hint()) {
            (Some(0), _) => return Err(Error::Invalid("a chunk has at least one item")),
            (Some(size), _) => size,
            (None, (_, Some(len))) => self.cut(pool, len),
            // An input of unknown length is read to its end first, as Python does.
            (None, _) => {
                let all: Vec<A> = items.by_ref().collect();
                let size = self.cut(pool, all.len());
                return self.send_chunks(pool, &name, &mut all.into_iter(), size);
            }
        };
        self.send_chunks(pool, &name, &mut items, size)
    }

    /// How many items make a good chunk, of `len`: enough chunks that all workers end together,
    /// and few enough that a chunk is worth its trip.
    pub(crate) fn cut(&self, pool: &Inner, len: usize) -> usize {
        let workers = pool.core.lock().target.max(1);
        len.div_ceil(workers * CHUNKS_PER_WORKER).max(1)
    }

    fn send_chunks<A: Serialize + 'static>(
        &self,
        pool: &Arc<Inner>,
        name: &Arc<[u8]>,
        items: &mut dyn Iterator<Item = A>,
        size: usize,
    ) -> Result<Arc<Batch>, Error> {
        let batch = Arc::new(Batch::new(self.hook.clone()));
        // If the input panics, what was handed in of it is of no use to anyone.
        let unless_panic = Abandon { pool, batch: &batch };
        let mut first = 0;
        let mut buffer = Vec::with_capacity(size.min(1 << 16));
        loop {
            buffer.clear();
            buffer.extend(items.take(size));
            if buffer.is_empty() {
                break;
            }
            self.send_chunk(pool, name, &batch, first, &buffer)?;
            first += buffer.len() as u64;
        }
        std::mem::forget(unless_panic);
        let mut effects = Vec::new();
        batch.seal(&mut effects);
        pool.happen(effects);
        Ok(batch)
    }

    /// Hands in neighbouring items as one task, and says how many bytes it has.
    pub(crate) fn send_chunk<A: Serialize + 'static>(
        &self,
        pool: &Inner,
        name: &Arc<[u8]>,
        batch: &Arc<Batch>,
        first: u64,
        items: &[A],
    ) -> Result<usize, TaskError> {
        batch.expect(items.len() as u64);
        let mut chunk = Chunk::new(name, first);
        let ((), fds) = fd_table::collect(|| chunk.push(items));
        let bytes = chunk.runs.iter().map(|(_, _, body)| body.len()).sum();
        self.hand_in(pool, batch, chunk, fds)?;
        Ok(bytes)
    }

    /// Hands in what could be encoded, and delivers the failures of what could not.
    pub(crate) fn hand_in(
        &self,
        pool: &Inner,
        batch: &Arc<Batch>,
        chunk: Chunk,
        fds: Vec<OwnedFd>,
    ) -> Result<(), TaskError> {
        let fds = Arc::new(fds);
        let mut effects = Vec::new();
        for (index, reason) in chunk.failed {
            let content = Content::Failed(TaskError::Codec(format!("argument: {reason}")));
            batch.arrive(Piece { first: index, count: 1, nanos: 0, content }, &mut effects);
        }
        pool.happen(effects);
        for (first, count, body) in chunk.runs {
            let (batch, fds) = (Arc::clone(batch), Arc::clone(&fds));
            let limits = self.limits;
            pool.submit(Work { batch, first, count, body, fds, limits, asked: None })?;
        }
        Ok(())
    }

    /// The items that `imap` sends at a time, and the most that it has on their way.
    pub(crate) fn chunk_and_window(&self, pool: &Inner) -> (usize, usize) {
        let chunk = self.chunk.unwrap_or(1).max(1);
        let workers = pool.core.lock().target.max(1);
        let window = self.window.or(pool.settings.window);
        (chunk, window.unwrap_or_else(|| chunk.saturating_mul(WINDOW_PER_WORKER * workers)).max(1))
    }
}

/// Into how many chunks `map` cuts its input, for each worker.
const CHUNKS_PER_WORKER: usize = 16;

/// How many chunks `imap` has on their way, for each worker.
const WINDOW_PER_WORKER: usize = 64;

/// Items that are being encoded. Those that cannot be are left out, and so cut the chunk in runs
/// of neighbours.
pub(crate) struct Chunk<'n> {
    name: &'n [u8],
    next: u64,
    /// The index of a run's first item, how many it has, and its message.
    runs: Vec<(u64, u32, Vec<u8>)>,
    failed: Vec<(u64, String)>,
}

impl<'n> Chunk<'n> {
    pub(crate) fn new(name: &'n [u8], first: u64) -> Chunk<'n> {
        Chunk { name, next: first, runs: Vec::new(), failed: Vec::new() }
    }

    /// Encodes the next items.
    pub(crate) fn push<A: Serialize + 'static>(&mut self, items: &[A]) {
        let mut items = items;
        while !items.is_empty() {
            let mut body = Vec::with_capacity(self.name.len() + 16 * items.len().min(1 << 16));
            begin_body(self.name, &mut body);
            let pushed = codec::push_all(&mut body, items);
            let count = pushed.as_ref().map_or_else(|(at, _)| *at, |()| items.len());
            if count > 0 {
                self.runs.push((self.next, count as u32, body));
            }
            self.next += count as u64;
            items = &items[count..];
            if let Err((_, reason)) = pushed {
                self.failed.push((self.next, reason));
                self.next += 1;
                items = &items[1..];
            }
        }
    }
}

/// Takes a half-submitted batch back when its input panics or a task is refused.
struct Abandon<'a> {
    pool: &'a Inner,
    batch: &'a Arc<Batch>,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.pool.abandon(self.batch);
    }
}
