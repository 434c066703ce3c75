//! Many items at once: one turn at the lock, one commit and one wake for all of them.

use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::byte_queue::ByteQueue;
use crate::message::{decode_from, with_encoded, with_scratch};
use crate::raw::bell::Listener;
use crate::raw::ring::Ring;
use crate::raw::turn::Patience;
use crate::{Error, PutError, Queue};

/// So many bytes are got in one turn at most, unless one item has more.
const TURN: usize = 1 << 20;

/// Items that are encoded and not put yet.
struct Pending<T> {
    values: Vec<T>,
    bytes: Vec<u8>,
    /// Where each item's bytes end.
    ends: Vec<usize>,
}

impl<T> Pending<T> {
    /// Puts them all. What could not be put comes back.
    fn flush(&mut self, queue: &ByteQueue) -> Result<(), PutError<Vec<T>>> {
        let put = queue.put_batch(&self.bytes, &self.ends);
        self.bytes.clear();
        self.ends.clear();
        match put {
            Ok(()) => {
                self.values.clear();
                Ok(())
            }
            Err((done, error)) => Err(PutError::new(self.values.split_off(done), error)),
        }
    }
}

impl<T: Serialize> Queue<T> {
    /// Puts `items` in, in order, waiting for room as [`put`](Queue::put) does.
    ///
    /// Others see them come in stretches: as many at once as there is room for. If the caller
    /// dies, each item of a stretch is there, or none is.
    ///
    /// # Blocking
    ///
    /// As [`put`](Queue::put).
    ///
    /// # Errors
    ///
    /// As [`put`](Queue::put). Those items come back that were taken from `items` and not put;
    /// the rest is still in the iterator, if it was lent by `by_ref`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::Queue;
    ///
    /// let queue = Queue::new(0)?;
    /// queue.put_many(0..5)?;
    /// assert_eq!(queue.get_many(3)?, [0, 1, 2]);
    /// assert_eq!(queue.get_many(3)?, [3, 4], "it does not wait for more");
    ///
    /// queue.close();
    /// let failed = queue.put_many([5, 6]).unwrap_err();
    /// assert_eq!(failed.into_value(), [5, 6]);
    /// # Ok::<(), mp_ipc::Error>(())
    /// ```
    pub fn put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        let queue = self.bytes();
        let max = queue.ring().inline_max();
        let mut pending = Pending { values: Vec::new(), bytes: Vec::new(), ends: Vec::new() };
        for value in items {
            let fits = with_encoded(&value, |bytes, fds| {
                let fits = fds.is_empty() && bytes.len() <= max;
                if fits {
                    pending.bytes.extend_from_slice(bytes);
                    pending.ends.push(pending.bytes.len());
                }
                Ok(fits)
            });
            match fits {
                Ok(true) => {
                    pending.values.push(value);
                    if pending.bytes.len() + 8 * pending.ends.len() >= max {
                        pending.flush(queue)?;
                    }
                }
                Ok(false) => {
                    pending.flush(queue)?;
                    self.put(value).map_err(|failed| failed.map(|value| vec![value]))?;
                }
                Err(error) => {
                    pending.flush(queue)?;
                    return Err(PutError::new(vec![value], error));
                }
            }
        }
        pending.flush(queue)
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Takes up to `max` items out, waiting for the first one only.
    ///
    /// They are taken out one after the other: whoever is killed in here takes along those that
    /// it had got to, and the rest stays.
    ///
    /// # Blocking
    ///
    /// As [`get`](Queue::get).
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get). If one of several items is no `T`, all of them are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Error, Queue};
    ///
    /// let queue = Queue::new(0)?;
    /// queue.put_many([1, 2, 3])?;
    /// queue.close();
    /// assert_eq!((queue.get_many(2)?, queue.get_many(2)?), (vec![1, 2], vec![3]));
    /// assert!(matches!(queue.get_many(2), Err(Error::Closed)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get_many(&self, max: usize) -> Result<Vec<T>, Error> {
        with_scratch(|scratch| {
            let parts = self.bytes().take_batch(scratch, max, Patience::Until(None))?;
            let mut start = 0;
            let decode =
                |(end, fds)| decode_from(&scratch[std::mem::replace(&mut start, end)..end], fds);
            parts.into_iter().map(decode).collect()
        })
    }
}

impl ByteQueue {
    /// Puts records that need no descriptors, each of which fits. On an error, says how many were
    /// put before.
    fn put_batch(&self, bytes: &[u8], ends: &[usize]) -> Result<(), (usize, Error)> {
        let ring = self.ring();
        let mut waiter = ring.room_waiter(Patience::Until(None));
        let (mut done, mut start) = (0, 0);
        let put = loop {
            let Some(end) = ends.get(done) else { break Ok(()) };
            match self.put_stretch(bytes, &ends[done..], start) {
                Ok(0) => {}
                Ok(count) => {
                    done += count as usize;
                    start = ends[done - 1];
                    ring.ring_news(count);
                    continue;
                }
                Err(error) => break Err((done, error)),
            }
            let units = Ring::units_of(end - start);
            if let Err(error) = waiter.wait(Listener::Each, || ring.has_room(units), || 0) {
                break Err((done, error));
            }
        };
        waiter.done(|| ring.has_room(Ring::units_of(1)));
        put
    }

    /// Puts as many of the records as there is room for, and says how many.
    fn put_stretch(&self, bytes: &[u8], ends: &[usize], start: usize) -> Result<u32, Error> {
        let mut put = self.ring().putting(Patience::Until(None))?;
        let mut start = start;
        for &end in ends {
            if !put.has_room(Ring::units_of(end - start)) {
                break;
            }
            put.write(0, &[], &bytes[start..end])?;
            start = end;
        }
        Ok(put.commit())
    }

    /// Takes up to `max` messages: where the bytes of each end, and its descriptors.
    fn take_batch(
        &self,
        to: &mut Vec<u8>,
        max: usize,
        patience: Patience,
    ) -> Result<Vec<(usize, Vec<OwnedFd>)>, Error> {
        let mut parts = Vec::new();
        if max == 0 {
            return Ok(parts);
        }
        let first = self.take(to, None, patience)?;
        parts.push((to.len(), first.fds));
        let ring = self.ring();
        let Ok(mut get) = ring.getting(Patience::Try) else { return Ok(parts) };
        while parts.len() < max && to.len() < TURN {
            // What fails here fails again when it is the first one, and is reported then.
            let Ok(Some(record)) = get.next() else { break };
            let len = to.len();
            let Ok(taken) = self.receive(&mut get, &record, to, None) else {
                to.truncate(len);
                break;
            };
            parts.push((to.len(), taken.fds));
        }
        drop(get);
        // The first one has rung by itself.
        ring.ring_room(parts.len() as u32 - 1);
        Ok(parts)
    }
}
