//! Handing in a call: items become chunks, chunks become tasks.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use mp_sys::fd_table;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::{Batch, Content, Hook, Piece};
use crate::codec::Block;
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

    /// Hands in neighbouring items as one task.
    fn send_chunk<A: Serialize + 'static>(
        &self,
        pool: &Inner,
        name: &[u8],
        batch: &Arc<Batch>,
        first: u64,
        items: &[A],
    ) -> Result<(), TaskError> {
        let mut tasks = Vec::with_capacity(1);
        batch.expect(items.len() as u64);
        self.pack(pool, name, batch, first, items, &mut tasks, Vec::new);
        pool.submit(&mut tasks)
    }

    /// Makes one task of neighbouring items, or several with gaps between them: what cannot be
    /// encoded is left out, and its failure delivered. `buffer` gives what a message is written
    /// into. Says how many bytes were written.
    #[expect(clippy::too_many_arguments, reason = "two of them are where to and what with")]
    pub(crate) fn pack<A: Serialize + 'static>(
        &self,
        pool: &Inner,
        name: &[u8],
        batch: &Arc<Batch>,
        mut first: u64,
        mut items: &[A],
        tasks: &mut Vec<Work>,
        mut buffer: impl FnMut() -> Vec<u8>,
    ) -> usize {
        let mut bytes = 0;
        while !items.is_empty() {
            let (body, fds, failure) = encode(name, items, buffer());
            let count = failure.as_ref().map_or(items.len(), |(at, _)| *at);
            bytes += body.len();
            if count > 0 {
                let fds = if fds.is_empty() { Arc::default() } else { fds.into() };
                let (batch, limits) = (Arc::clone(batch), self.limits);
                let count = count as u32;
                tasks.push(Work { batch, first, count, body, fds, limits, asked: None });
            }
            first += count as u64;
            items = &items[count..];
            if let Some((_, reason)) = failure {
                let content = Content::Failed(TaskError::Codec(format!("argument: {reason}")));
                let mut effects = Vec::new();
                batch.arrive([Piece { first, count: 1, nanos: 0, content }], &mut effects);
                pool.happen(effects);
                first += 1;
                items = &items[1..];
            }
        }
        bytes
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

/// Writes a task's message: all items, or those before the first that cannot be encoded, and why.
fn encode<A: Serialize + 'static>(
    name: &[u8],
    items: &[A],
    mut body: Vec<u8>,
) -> (Vec<u8>, Vec<OwnedFd>, Option<(usize, String)>) {
    let mut write = || {
        body.clear();
        body.reserve(name.len() + Block::HEAD + 16 * items.len().min(1 << 16));
        begin_body(name, &mut body);
        codec::push_all(&mut body, items)
    };
    // Most messages hold no handle, and those do without a table.
    if fd_table::is_idle() && write().is_ok() {
        return (body, Vec::new(), None);
    }
    let (written, fds) = fd_table::collect(write);
    (body, fds, written.err())
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
