//! The short way: a short record without handles, put or got at once.
//!
//! Whatever is unusual (no room, nothing there, closed, leased, long, broken) is left as it is,
//! for the long way to deal with; so these have nothing to report and nothing to wait for but
//! the lock. The steps are those of [`putting`](super::putting) and
//! [`getting`](super::getting).

use std::sync::atomic::Ordering;

use super::cursor::Cursor;
use super::ring::{Patience, Ring, Turn, UNIT};

/// What is longer takes the long way.
pub(crate) const SHORT: usize = 128;

impl Ring {
    /// Puts the first `len` of `bytes`, and says whether that was possible.
    #[inline]
    pub(crate) fn put_short(&self, bytes: &[u8; SHORT], len: usize, patience: Patience) -> bool {
        let units = Ring::units_of(len);
        let side = &self.header.put;
        let Ok(turn) = Turn::take(&side.lock, patience) else { return false };
        let tail = Cursor::of(side.commit.load(Ordering::Relaxed));
        if len > SHORT || self.is_closed() || !self.has_room_behind(tail, units) {
            return false;
        }
        let mut written = self.store(tail.units, len as u64);
        // Whole words: what is behind the record's end in the last one means nothing.
        let words = bytes.as_chunks::<UNIT>().0.iter().zip(1..units);
        for (word, at) in words {
            written &= self.store(tail.units.wrapping_add(at), u64::from_ne_bytes(*word));
        }
        if !written {
            return false;
        }
        // Release: pairs with the Acquire in Ring::tail().
        side.commit.store(tail.past(units).word(), Ordering::Release);
        drop(turn);
        side.bell.ring(1);
        true
    }

    /// Gets the next record into `bytes`, and says how long it is if that was possible.
    #[inline]
    pub(crate) fn get_short(&self, bytes: &mut [u8; SHORT], patience: Patience) -> Option<usize> {
        let side = &self.header.get;
        let turn = Turn::take(&side.lock, patience).ok()?;
        if self.header.leasing.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let head = Cursor::of(side.commit.load(Ordering::Relaxed));
        let end = self.end_behind(head);
        let full = end.units_since(head);
        if full == 0 || full > self.units() {
            return None;
        }
        // The state, in the upper half, is 0: no handles, and never leased.
        let len = self.load_word(head.units)? as usize;
        let units = Ring::units_of(len.min(SHORT));
        if len > SHORT || units > full {
            return None;
        }
        let mut unit = head.units;
        for word in bytes[..len.next_multiple_of(UNIT)].as_chunks_mut::<UNIT>().0 {
            unit = unit.wrapping_add(1);
            *word = self.load_word(unit)?.to_ne_bytes();
        }
        // Release: pairs with the Acquire in Ring::head().
        side.commit.store(head.past(units).word(), Ordering::Release);
        drop(turn);
        side.bell.ring(1);
        Some(len)
    }
}
