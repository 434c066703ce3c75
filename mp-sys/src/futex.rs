//! `futex(2)`: sleeping on a word of shared memory.
//!
//! All waits are *shared* (never `FUTEX_PRIVATE_FLAG`), because the word may lie in memory that
//! other processes see; so they meet the wakes that the kernel itself sends for a dead lock
//! holder ([`robust`](crate::robust)).

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::thread::ClockId;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags, WakeOp, WakeOpCmp};

use crate::{Deadline, Errno};

/// The most words that [`wait_any`] watches in one call: the kernel's `FUTEX_WAITV_MAX`.
pub const WAIT_ANY_MAX: usize = 128;

/// How long [`wait_any`] sleeps before it lets its caller look, where the kernel has no
/// `futex_waitv` (before Linux 5.16).
const TICK: Duration = Duration::from_millis(50);

/// `futex(FUTEX_WAIT_BITSET)`: sleeps while `word` holds `expected`.
///
/// `Ok` means "look again", not "it changed": a wake, a value that had already changed and an
/// interrupting signal are all `Ok`.
///
/// # Blocking
///
/// Waits for a [`wake`] on the same word, in any process. If the process that should wake dies,
/// only the deadline ends the wait, unless the word is a robust lock ([`robust`](crate::robust)).
///
/// # Errors
///
/// [`Errno::TIMEDOUT`] when the deadline passes.
///
/// # Examples
///
/// ```
/// use std::{sync::atomic::AtomicU32, time::Duration};
/// use mp_sys::{Deadline, Errno, futex};
///
/// let word = AtomicU32::new(1);
/// assert_eq!(futex::wait(&word, 0, None), Ok(()), "the word is not 0: look again at once");
/// let soon = Deadline::after(Duration::from_millis(1));
/// assert_eq!(futex::wait(&word, 1, Some(soon)), Err(Errno::TIMEDOUT));
/// ```
#[inline]
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Result<(), Errno> {
    let until = deadline.map(Deadline::timespec);
    match futex::wait_bitset(word, Flags::empty(), expected, until.as_ref(), NonZeroU32::MAX) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// `futex(FUTEX_WAKE)`: wakes up to `count` sleepers of `word` and says how many there were.
///
/// Async-signal-safe: one system call, no lock, no allocation.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::AtomicU32;
///
/// assert_eq!(mp_sys::futex::wake(&AtomicU32::new(0), u32::MAX), 0, "nobody slept");
/// ```
#[inline]
pub fn wake(word: &AtomicU32, count: u32) -> usize {
    // The kernel reads the count as a C int. The call cannot fail on an aligned, mapped word
    // (futex(2)); were it to, nobody was woken.
    futex::wake(word, Flags::empty(), count.min(i32::MAX as u32)).unwrap_or(0)
}

/// `futex(FUTEX_WAKE_OP)`: adds `add` to `word` and wakes up to `count` of its sleepers, and says
/// how many there were.
///
/// The kernel does both within one call, so a kill cannot come between them: who sees the sum
/// knows that the wake has been, or is just being, done. It orders memory like a `SeqCst`
/// read-modify-write. Async-signal-safe, as [`wake`]. `add` is less than 2048.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// let word = AtomicU32::new(1);
/// assert_eq!(mp_sys::futex::add_and_wake(&word, 2, 1), 0, "nobody slept");
/// assert_eq!(word.load(Relaxed), 3);
/// ```
pub fn add_and_wake(word: &AtomicU32, add: u16, count: u32) -> usize {
    op_and_wake(word, WakeOp::Add, add, count)
}

/// `futex(FUTEX_WAKE_OP)`: sets `bits` in `word` and wakes up to `count` of its sleepers, with
/// the guarantees of [`add_and_wake`]. `bits` is less than 2048.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// let word = AtomicU32::new(4);
/// assert_eq!(mp_sys::futex::set_and_wake(&word, 1, u32::MAX), 0, "nobody slept");
/// assert_eq!(word.load(Relaxed), 5);
/// ```
pub fn set_and_wake(word: &AtomicU32, bits: u16, count: u32) -> usize {
    op_and_wake(word, WakeOp::Or, bits, count)
}

fn op_and_wake(word: &AtomicU32, op: WakeOp, arg: u16, count: u32) -> usize {
    // The call could wake sleepers of a second word if that held -1; it is the same word, so the
    // worst is one wake too many. It fails only for an unmapped word, which `word` is not.
    let count = count.min(i32::MAX as u32);
    futex::wake_op(word, Flags::empty(), count, 0, word, op, WakeOpCmp::Eq, arg, 0xfff).unwrap_or(0)
}

/// `futex_waitv`: sleeps while every word holds the value beside it.
///
/// `Ok` means "look again", as with [`wait`]. Where the kernel lacks the call, or there are more
/// than [`WAIT_ANY_MAX`] words, it sleeps on the first word and returns after at most 50 ms.
///
/// # Blocking
///
/// Waits for a [`wake`] on any of the words, or for the death of the owner of one that is a
/// robust lock with its waiters bit set. Otherwise as [`wait`].
///
/// # Errors
///
/// [`Errno::TIMEDOUT`] when the deadline passes; [`Errno::INVAL`] for an empty list.
///
/// # Examples
///
/// ```
/// use std::{sync::atomic::AtomicU32, time::Duration};
/// use mp_sys::{Deadline, Errno, futex};
///
/// let (a, b) = (AtomicU32::new(1), AtomicU32::new(2));
/// assert_eq!(futex::wait_any(&[(&a, 1), (&b, 7)], None), Ok(()), "b is not 7: look again");
/// let soon = Deadline::after(Duration::from_millis(1));
/// assert_eq!(futex::wait_any(&[(&a, 1), (&b, 2)], Some(soon)), Err(Errno::TIMEDOUT));
/// ```
pub fn wait_any(words: &[(&AtomicU32, u32)], deadline: Option<Deadline>) -> Result<(), Errno> {
    let &(first, expected) = words.first().ok_or(Errno::INVAL)?;
    let mut list = [Wait::new(); WAIT_ANY_MAX];
    if let Some(list) = list.get_mut(..words.len()) {
        for (entry, (word, expected)) in list.iter_mut().zip(words) {
            entry.val = u64::from(*expected);
            entry.uaddr = WaitPtr::new(word.as_ptr().cast());
            entry.flags = WaitFlags::SIZE_U32;
        }
        let until = deadline.map(Deadline::timespec);
        match futex::waitv(list, WaitvFlags::empty(), until.as_ref(), ClockId::Monotonic) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(Errno::NOSYS) => {}
            Err(errno) => return Err(errno),
        }
    }
    match wait(first, expected, Some(Deadline::after(TICK).or_earlier(deadline))) {
        Err(Errno::TIMEDOUT) if !deadline.is_some_and(Deadline::has_passed) => Ok(()),
        other => other,
    }
}
