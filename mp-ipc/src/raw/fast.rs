//! The short way: a record without handles, put or got at once.
//!
//! Whatever is unusual (no room, nothing there, closed, leased, beside the ring, broken) is left
//! as it is, for the long way to deal with; so these have nothing to report and nothing to wait
//! for but the lock. The steps are those of [`putting`](super::putting) and
//! [`getting`](super::getting). Values that fit go as [words](super::short); if those two shared
//! a body with the others, the compiler would move the words about in memory, which costs a third
//! of a call.

use std::sync::atomic::Ordering;

use super::cursor::Cursor;
use super::ring::Ring;
use super::short::{SHORT, Short};
use super::turn::{Patience, Turn};

impl Ring {
    /// Puts `payload`, and says whether that was possible.
    #[inline]
    pub(crate) fn put_short(&self, payload: &Short, patience: Patience) -> bool {
        let units = Ring::units_of(payload.len());
        let side = &self.header.put;
        let Ok(turn) = Turn::take(&side.lock, patience) else { return false };
        let tail = Cursor::of(side.commit.load(Ordering::Relaxed));
        if self.is_closed() || !self.has_room_behind(tail, units) {
            return false;
        }
        let mut written = self.store(tail.units, payload.len() as u64);
        let mut unit = tail.units;
        for word in payload.words() {
            unit = unit.wrapping_add(1);
            written &= self.store(unit, u64::from_ne_bytes(*word));
        }
        if !written {
            return false;
        }
        self.expect_store(tail.units);
        // Release: pairs with the Acquire in Ring::tail().
        side.commit.store(tail.past(units).word(), Ordering::Release);
        drop(turn);
        self.ring_news(1);
        true
    }

    /// Puts `bytes`, and says whether that was possible.
    #[inline]
    pub(crate) fn put_bytes(&self, bytes: &[u8], patience: Patience) -> bool {
        let side = &self.header.put;
        if bytes.len() > self.inline_max() {
            return false;
        }
        let units = Ring::units_of(bytes.len());
        let Ok(turn) = Turn::take(&side.lock, patience) else { return false };
        let tail = Cursor::of(side.commit.load(Ordering::Relaxed));
        if self.is_closed() || !self.has_room_behind(tail, units) {
            return false;
        }
        if !self.store(tail.units, bytes.len() as u64)
            || self.copy_in(tail.units.wrapping_add(1), bytes).is_err()
        {
            return false;
        }
        // Release: pairs with the Acquire in Ring::tail().
        side.commit.store(tail.past(units).word(), Ordering::Release);
        drop(turn);
        self.ring_news(1);
        true
    }

    /// Gets the next record, if that was possible.
    #[inline]
    pub(crate) fn get_short(&self, patience: Patience) -> Option<Short> {
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
        let (mut payload, mut unit) = (Short::default(), head.units);
        for word in payload.words_mut(len)? {
            unit = unit.wrapping_add(1);
            *word = self.load_word(unit)?.to_ne_bytes();
        }
        // Release: pairs with the Acquire in Ring::head().
        side.commit.store(head.past(units).word(), Ordering::Release);
        drop(turn);
        self.ring_room(1);
        Some(payload)
    }

    /// Gets the next record, appending its bytes to `to`, and says whether that was possible.
    #[inline]
    pub(crate) fn get_bytes(&self, to: &mut Vec<u8>, patience: Patience) -> bool {
        let side = &self.header.get;
        let Ok(turn) = Turn::take(&side.lock, patience) else { return false };
        if self.header.leasing.load(Ordering::Relaxed) != 0 {
            return false;
        }
        let head = Cursor::of(side.commit.load(Ordering::Relaxed));
        let end = self.end_behind(head);
        if end == head || end.units_since(head) > self.units() {
            return false;
        }
        let Ok(record) = self.record(head, end) else { return false };
        let before = to.len();
        if record.state != 0
            || self.copy_out(head.units.wrapping_add(1), record.len as usize, to).is_err()
        {
            to.truncate(before);
            return false;
        }
        // Release: pairs with the Acquire in Ring::head().
        side.commit.store(record.next.word(), Ordering::Release);
        drop(turn);
        self.ring_room(1);
        true
    }
}
