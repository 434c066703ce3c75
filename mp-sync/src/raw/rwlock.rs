//! Many readers or one writer.
//!
//! A reader holds one of N slots, each a lock of its own; a writer holds the writer lock and has
//! then seen every slot free. Each announces itself first and looks at the other afterwards, with
//! a full fence in between, so that at least one of the two sees the other; the reader gives way.
//!
//! A dead reader's slot is released by the kernel, and was all that it had. A dead writer leaves
//! `writing` behind, which was set before it wrote anything: so a reader that took the writer lock
//! for a moment, or reads under it because all slots were taken, leaves no false alarm.
#![expect(unsafe_code, reason = "links lock words into the thread's robust list")]

use mp_sys::Deadline;

use crate::raw::RawMutex;
use crate::sys::{self, AtomicU32, Ordering, fence};
use crate::{Error, LockState};

/// The words of a [`RwLock`](crate::RwLock). All zero is "free".
///
/// ```text
///  0          48         52     56
///  | writer   | writing  | -    | slots: N x RawMutex          |
/// ```
#[repr(C)]
pub(crate) struct RawRwLock<const N: usize> {
    writer: RawMutex,
    /// 1 from before a writer's first store until after its last; then a writer that died.
    writing: AtomicU32,
    unused: AtomicU32,
    slots: [RawMutex; N],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawRwLock<32>>() == 56 + 32 * 48);

/// What a reader holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A slot.
    Slot(usize),
    /// The writer lock: all slots were taken, so it reads alone.
    Alone,
}

/// Whether the last writer died.
type WriterDied = bool;

impl<const N: usize> RawRwLock<N> {
    #[cfg(loom)]
    pub(crate) fn new() -> RawRwLock<N> {
        RawRwLock {
            writer: RawMutex::new(),
            writing: AtomicU32::new(0),
            unused: AtomicU32::new(0),
            slots: std::array::from_fn(|_| RawMutex::new()),
        }
    }

    /// # Safety
    ///
    /// As `RawMutex::lock_until`, until `unlock_read`.
    pub(crate) unsafe fn read_until(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<(Read, WriterDied), Error> {
        // SAFETY: the caller's contract.
        if let Some(read) = unsafe { self.try_read() }? {
            return Ok(read);
        }
        // Behind the writer. Whoever has the writer lock may claim a slot in peace.
        // SAFETY: the caller's contract; unlocked below, or by unlock_read.
        let _ = unsafe { self.writer.lock_until(deadline) }?;
        // SAFETY: the caller's contract.
        let claimed = unsafe { self.claim() };
        let read = match claimed {
            Ok(None) => return Ok((Read::Alone, self.writer_died())),
            Ok(Some(slot)) => Ok((Read::Slot(slot), self.writer_died())),
            Err(error) => Err(error),
        };
        self.writer.unlock();
        read
    }

    /// # Safety
    ///
    /// As `read_until`.
    pub(crate) unsafe fn try_read(&self) -> Result<Option<(Read, WriterDied)>, Error> {
        // SAFETY: the caller's contract.
        let Some(slot) = (unsafe { self.claim() })? else {
            // SAFETY: the caller's contract.
            let alone = unsafe { self.writer.try_lock() }?.is_some();
            return Ok(alone.then(|| (Read::Alone, self.writer_died())));
        };
        // SeqCst: pairs with the fence in drain().
        fence(Ordering::SeqCst);
        if self.writer.state() != LockState::Held {
            return Ok(Some((Read::Slot(slot), self.writer_died())));
        }
        self.slots[slot].unlock();
        Ok(None)
    }

    pub(crate) fn unlock_read(&self, read: Read) {
        match read {
            Read::Slot(slot) => self.slots[slot].unlock(),
            Read::Alone => self.writer.unlock(),
        }
    }

    /// # Safety
    ///
    /// As `RawMutex::lock_until`, until `unlock_write`.
    pub(crate) unsafe fn write_until(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<WriterDied, Error> {
        // SAFETY: the caller's contract.
        let _ = unsafe { self.writer.lock_until(deadline) }?;
        // SAFETY: the caller's contract; a slot is unlocked at once.
        self.drain(|slot| unsafe { slot.lock_until(deadline) }.map(drop))
    }

    /// # Safety
    ///
    /// As `write_until`.
    pub(crate) unsafe fn try_write(&self) -> Result<Option<WriterDied>, Error> {
        // SAFETY: the caller's contract.
        if unsafe { self.writer.try_lock() }?.is_none() {
            return Ok(None);
        }
        // SAFETY: the caller's contract; a slot is unlocked at once.
        let drained = self.drain(|slot| match unsafe { slot.try_lock() }? {
            Some(_) => Ok(()),
            None => Err(Error::WouldBlock),
        });
        match drained {
            Err(Error::WouldBlock) => Ok(None),
            other => other.map(Some),
        }
    }

    pub(crate) fn unlock_write(&self) {
        if !self.writer.is_mine() {
            return; // A forked child's copy of a guard.
        }
        // Release: after the writer's last store; pairs with the Acquire of the lock word.
        self.writing.store(0, Ordering::Release);
        self.writer.unlock();
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.writer.is_locked() || self.slots.iter().any(RawMutex::is_locked)
    }

    pub(crate) fn writer(&self) -> &RawMutex {
        &self.writer
    }

    pub(crate) fn readers(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_locked()).count()
    }

    /// Waits, by `lock`, for every reader that is there. The writer lock is ours, and is given
    /// back if that fails.
    fn drain(&self, lock: impl Fn(&RawMutex) -> Result<(), Error>) -> Result<WriterDied, Error> {
        // SeqCst: pairs with the fence in try_read().
        fence(Ordering::SeqCst);
        for slot in self.slots.iter().filter(|slot| slot.is_locked()) {
            match lock(slot) {
                Ok(()) => slot.unlock(),
                Err(error) => {
                    self.writer.unlock();
                    return Err(error);
                }
            }
        }
        let died = self.writing.swap(1, Ordering::Relaxed) != 0;
        // Release: no store of the writer moves before the mark.
        fence(Ordering::Release);
        Ok(died)
    }

    /// # Safety
    ///
    /// As `RawMutex::lock_until`.
    unsafe fn claim(&self) -> Result<Option<usize>, Error> {
        // Threads begin at different slots, so that they do not meet in one cache line.
        let start = sys::list().map_or(0, |list| list.tid() as usize);
        for i in (start..start + N).map(|i| i % N) {
            // SAFETY: the caller's contract. Nothing lies behind a slot, so a death in it is over.
            if unsafe { self.slots[i].try_lock() }?.is_some() {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }

    fn writer_died(&self) -> WriterDied {
        // Relaxed: the look at the writer's word, before this, was Acquire.
        self.writing.load(Ordering::Relaxed) != 0
    }
}
