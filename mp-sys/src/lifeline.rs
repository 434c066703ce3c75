//! `fcntl(F_SETOWN, F_SETSIG, O_ASYNC)`: dying with one's parent, by the kernel's hand.
//!
//! The parent holds the write end of a pipe in which nothing is ever written, the child the read
//! end, on which it has asked for `SIGKILL`. When the last write end closes, because the parent
//! let go or died of whatever, the kernel kills the child. Unlike `PR_SET_PDEATHSIG` this does not
//! depend on which thread made the child, nor on being its real parent.
//!
//! A plain `fork` duplicates write ends, and a duplicate in another child would keep its siblings
//! alive. So the write ends stand in a list that the child of every `fork` walks and closes.
#![expect(unsafe_code, reason = "asynchronous descriptors and fork handlers have no safe wrapper")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use crate::poll::{Interest, wait_for};
use crate::{Deadline, Errno, stdio};

/// `fcntl(2)`'s `F_SETSIG`, which the libc crate does not name.
const F_SETSIG: i32 = 10;

/// The parent's end: the child dies when it is dropped, or when this process ends.
#[derive(Debug)]
pub struct Lifeline {
    // INVARIANT (slot): holds the write end, which nobody else closes but the child of a fork in
    // its own table of descriptors; that leaves -1 in its copy of the slot.
    slot: &'static AtomicI32,
}

/// `pipe2`: the parent's end and the one for the child, which [arms](arm) it.
///
/// # Errors
///
/// [`Errno::MFILE`] or [`Errno::NFILE`] when descriptors run out.
pub fn pair() -> Result<(Lifeline, OwnedFd), Errno> {
    watch_forks();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (read, write) = (stdio::above(read)?, stdio::above(write)?);
    Ok((Lifeline { slot: Block::claim(write.into_raw_fd()) }, read))
}

fn watch_forks() {
    static AT_FORK: Once = Once::new();
    // SAFETY: the handler is a plain function for the life of the program, and does only what a
    // forked child may do (loads and stores of atomics, close(2)).
    AT_FORK.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(close_inherited));
    });
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        close_slot(self.slot);
    }
}

/// Ties the calling process to the parent that holds the other end of `end`, for good.
///
/// If the parent is gone already, the call does not return. The tie is not inherited: a child of
/// this process needs one of its own.
///
/// # Errors
///
/// What `fcntl` says, for a descriptor that is not a pipe.
pub fn arm(end: OwnedFd) -> Result<(), Errno> {
    watch_forks();
    let fd = end.as_raw_fd();
    // SAFETY: getpid(2) has no precondition.
    let me = unsafe { libc::getpid() };
    control(fd, libc::F_SETOWN, me)?;
    control(fd, F_SETSIG, libc::SIGKILL)?;
    control(fd, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK)?;
    if is_cut(end.as_fd())? {
        // SAFETY: kill(2) touches no memory.
        unsafe { libc::kill(me, libc::SIGKILL) };
    }
    // It stays open until the process ends: closing it would end the tie. INVARIANT (slot), with
    // this process as the owner of what stands in `ARMED`.
    close_slot_of(ARMED.swap(end.into_raw_fd(), Ordering::AcqRel));
    Ok(())
}

/// A duplicate of the end that [ties](arm) this process to its parent: readable once the parent
/// has gone. For a child of this process, which is not tied. `None` if this process is not either.
pub fn tie() -> Option<OwnedFd> {
    let fd = ARMED.load(Ordering::Acquire);
    // SAFETY: INVARIANT (slot): what stands in `ARMED` is open until the process ends; the borrow
    // lasts for one call.
    let tie = (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })?;
    rustix::io::fcntl_dupfd_cloexec(tie, 3).ok()
}

/// Whether the parent's end is gone.
///
/// # Errors
///
/// What `poll` says.
pub fn is_cut(end: BorrowedFd<'_>) -> Result<bool, Errno> {
    wait_for(end, Interest::Readable, Some(Deadline::now()))
}

fn control(fd: RawFd, command: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: these commands of fcntl(2) take an integer and touch no memory.
    if unsafe { libc::fcntl(fd, command, value) } < 0 { Err(crate::last_errno()) } else { Ok(()) }
}

/// A block of the list of write ends. Blocks are only added, never freed, so that the child of a
/// fork can walk them without a lock; slots are used again.
struct Block {
    slots: [AtomicI32; 62],
    next: AtomicPtr<Block>,
}

static FIRST: Block = Block::new();

impl Block {
    const fn new() -> Block {
        Block {
            slots: [const { AtomicI32::new(-1) }; 62],
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Puts `fd` into a free slot.
    fn claim(fd: RawFd) -> &'static AtomicI32 {
        let mut block = &FIRST;
        loop {
            for slot in &block.slots {
                // AcqRel: pairs with the Release of the `close_slot` that freed the slot.
                if slot.compare_exchange(-1, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return slot;
                }
            }
            block = block.following();
        }
    }

    fn following(&'static self) -> &'static Block {
        if let Some(next) = self.next() {
            return next;
        }
        let fresh = Box::into_raw(Box::new(Block::new()));
        let null = std::ptr::null_mut();
        // AcqRel: the block's contents go with its address, to the Acquire in `next`.
        match self.next.compare_exchange(null, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: the block is leaked here, so it lives as long as the program.
            Ok(_) => unsafe { &*fresh },
            Err(other) => {
                // SAFETY: nobody has seen `fresh`, which came from a Box.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: what stands in `next` has been leaked by `following`.
                unsafe { &*other }
            }
        }
    }

    fn next(&'static self) -> Option<&'static Block> {
        // Acquire: pairs with the exchange in `following`.
        // SAFETY: it is null, or was leaked by `following`.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }
}

/// The end by which this process is tied to its parent. A child of this process is not.
static ARMED: AtomicI32 = AtomicI32::new(-1);

fn close_slot(slot: &AtomicI32) {
    // Release: pairs with `Block::claim`.
    close_slot_of(slot.swap(-1, Ordering::AcqRel));
}

/// Closes what a swap has taken out of a slot, if there was anything.
fn close_slot_of(fd: RawFd) {
    if fd >= 0 {
        // SAFETY: INVARIANT (slot): the swap made the caller the only owner.
        unsafe { libc::close(fd) };
    }
}

/// As [`close_slot`], without a write where there is nothing: it would cost a copied page.
fn close_if_open(slot: &AtomicI32) {
    // Relaxed: the process has this one thread.
    if slot.load(Ordering::Relaxed) >= 0 {
        close_slot(slot);
    }
}

/// In a forked child: the parent's children are not this process's to keep alive.
extern "C" fn close_inherited() {
    close_if_open(&ARMED);
    let mut block = Some(&FIRST);
    while let Some(current) = block {
        for slot in &current.slots {
            close_if_open(slot);
        }
        block = current.next();
    }
}
