//! The robust list: the kernel releases the locks of a thread that dies.
//!
//! Each thread has one list of the lock nodes that it holds, registered with
//! `set_robust_list(2)`. When the thread ends, however it ends, the kernel walks the list, sets
//! [`OWNER_DIED`] in each lock word that carries the thread's id, and wakes one waiter of it if
//! [`WAITERS`] is set. It does so before a pidfd or a socket tells anyone of the death.
//!
//! The C library registers a list for every thread, for its own robust mutexes, and there is
//! only one list a thread; so our nodes are linked into that one, in its own shape (a node looks
//! like its `pthread_mutex_t`). [`List::current`] checks that the registered list has the shape
//! that we know, and otherwise fails: the caller then takes robust pthread mutexes instead.
//!
//! # The protocol
//!
//! To lock: [`announce`](List::announce), make the word ours with one compare-and-swap,
//! [`link`](List::link). To unlock: announce, [`unlink`](List::unlink), release the word with
//! one compare-and-swap, wake if it had waiters, [`retract`](List::retract). The kernel also looks
//! at the announced node, so no instant is uncovered: neither that between the swap and the link,
//! nor that between the release and the wake (it wakes a waiter of an announced word that is 0).
//! While the lock is held its node may stay announced: the kernel looks at it once all the same.
//!
//! Source: `Documentation/locking/robust-futex-ABI.rst` in the kernel, `futex(2)`,
//! `get_robust_list(2)`.
#![expect(unsafe_code, reason = "the list is a C structure of the thread, shared with the kernel")]

use std::cell::Cell;
use std::ffi::{c_long, c_void};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering, compiler_fence};

use crate::Errno;

/// Bit of a lock word: somebody sleeps, or is about to.
pub const WAITERS: u32 = 0x8000_0000;
/// Bit of a lock word: the holder died. The thread id is then 0.
pub const OWNER_DIED: u32 = 0x4000_0000;
/// The part of a lock word that is the holder's thread id; 0 is "free".
pub const TID_MASK: u32 = 0x3fff_ffff;

/// How many locks one thread may hold: the kernel walks no further (`ROBUST_LIST_LIMIT`).
///
/// Robust pthread mutexes that the thread holds come on top and are not counted here.
pub const HELD_MAX: u32 = 2048;

/// From a node's link to its lock word, as the C library has registered it.
const FUTEX_OFFSET: c_long = if cfg!(target_env = "musl") { -28 } else { -32 };

/// A lock word with the links that put it into a thread's robust list.
///
/// All zero bytes are a free lock. The shape is that of the C library's `pthread_mutex_t`, since
/// the library writes our links when it links its own neighbours:
///
/// ```text
///  0         4         8        12                  24        32        40
///  | word    | word    | (musl) | unused            | prev    | next    |
///  | (glibc) | (musl)  |        |                   |         |         |
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Node {
    words: [AtomicU32; 3],
    unused: [AtomicU32; 3],
    /// Written by the holding thread only (and by the C library on its behalf).
    prev: AtomicPtr<c_void>,
    /// What the list's entries point at. The same writers as `prev`.
    next: AtomicPtr<c_void>,
}

const _: () = assert!(size_of::<Node>() == 40 && align_of::<Node>() == 8);
const _: () = assert!(std::mem::offset_of!(Node, next) == 32);

impl Node {
    /// A free lock.
    #[expect(clippy::new_without_default, reason = "shared memory is zeroed, not constructed")]
    pub const fn new() -> Node {
        Node {
            words: [const { AtomicU32::new(0) }; 3],
            unused: [const { AtomicU32::new(0) }; 3],
            prev: AtomicPtr::new(ptr::null_mut()),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The lock word: 0 when free, else the holder's thread id, with [`WAITERS`] and
    /// [`OWNER_DIED`] on top.
    #[inline]
    pub const fn word(&self) -> &AtomicU32 {
        // On musl `words[0]` stays 0 and `words[2]` unused: pthread_exit there would read them as
        // a mutex type and a waiter count.
        &self.words[((32 + FUTEX_OFFSET) / 4) as usize]
    }

    #[inline]
    fn entry(&self) -> *mut c_void {
        (&raw const self.next).cast_mut().cast()
    }
}

/// The kernel's `struct robust_list_head`.
#[repr(C)]
struct Head {
    /// The first entry; the address of this head when the list is empty.
    next: Cell<*mut c_void>,
    futex_offset: c_long,
    /// The entry that is being locked or unlocked.
    pending: Cell<*mut c_void>,
}

struct Thread {
    /// The registered head; null until this thread has asked for it.
    head: Cell<*const Head>,
    tid: Cell<u32>,
    held: Cell<u32>,
}

thread_local! {
    static THREAD: Thread = const {
        Thread { head: Cell::new(ptr::null()), tid: Cell::new(0), held: Cell::new(0) }
    };
}

/// The calling thread's robust list. It cannot leave the thread.
#[derive(Clone, Copy, Debug)]
pub struct List {
    // INVARIANT (registered): the head that get_robust_list(2) named for the calling thread, with
    // `futex_offset == FUTEX_OFFSET`. It lies in the thread's control block, so it outlives
    // every `List`, which is neither Send nor Sync (raw pointer).
    head: *const Head,
    tid: u32,
}

impl List {
    /// `get_robust_list`, once a thread: the list of the calling thread.
    ///
    /// # Errors
    ///
    /// [`Errno::NOSYS`] when no list is registered, or one whose shape we do not know.
    #[inline]
    pub fn current() -> Result<List, Errno> {
        THREAD.with(|thread| {
            let head = thread.head.get();
            if head.is_null() {
                return List::register(thread);
            }
            Ok(List { head, tid: thread.tid.get() })
        })
    }

    /// The list, if this thread has asked for it [before](List::current): two loads.
    #[inline(always)]
    pub fn known() -> Option<List> {
        THREAD.with(|thread| {
            let head = thread.head.get();
            (!head.is_null()).then(|| List { head, tid: thread.tid.get() })
        })
    }

    #[cold]
    fn register(thread: &Thread) -> Result<List, Errno> {
        // A forked child has another thread id and an empty list: it must ask again.
        static AT_FORK: Once = Once::new();
        AT_FORK.call_once(|| {
            // SAFETY: the handler is a plain function for the life of the program, and does only
            // what a forked child may do (two stores into memory of its own thread).
            unsafe { libc::pthread_atfork(None, None, Some(forget_parent)) };
        });
        let head = registered_head();
        if head.is_null() {
            return Err(Errno::NOSYS);
        }
        // SAFETY: the kernel holds this address as the thread's robust list, so a
        // `robust_list_head` of the C library lies there for as long as the thread lives.
        let offset = unsafe { (*head).futex_offset };
        if offset != FUTEX_OFFSET {
            return Err(Errno::NOSYS);
        }
        thread.tid.set(tid());
        thread.head.set(head);
        Ok(List { head, tid: thread.tid.get() })
    }

    /// The calling thread's id, as it stands in the lock words that the thread holds.
    #[inline]
    pub fn tid(self) -> u32 {
        self.tid
    }

    /// How many nodes this thread has linked, or one less.
    #[inline]
    pub fn held(self) -> u32 {
        THREAD.with(|thread| thread.held.get())
    }

    /// Tells the kernel that `node` is about to be locked or unlocked.
    ///
    /// Until [`retract`](List::retract), or until another one is announced, the death of this
    /// thread sets [`OWNER_DIED`] in the node's word if the word carries this thread's id, and
    /// wakes one waiter if it is free. `node` must stay mapped until then.
    #[inline]
    pub fn announce(self, node: &Node) {
        self.head().pending.set(node.entry());
        // The kernel reads the list only after this thread's last instruction: what must be kept
        // is the order of the instructions, which the compiler alone could change.
        compiler_fence(Ordering::SeqCst);
    }

    /// Whether `node` is the one that is announced.
    #[inline]
    pub fn is_announced(self, node: &Node) -> bool {
        self.head().pending.get() == node.entry()
    }

    /// Ends what [`announce`](List::announce) began.
    #[inline]
    pub fn retract(self) {
        compiler_fence(Ordering::SeqCst);
        self.head().pending.set(ptr::null_mut());
    }

    /// Puts `node` into the list.
    ///
    /// # Safety
    ///
    /// The calling thread has announced `node` and holds its word; `node` is in no list; and it
    /// stays mapped, at this address, until it is [unlinked](List::unlink).
    #[inline]
    pub unsafe fn link(self, node: &Node) {
        let head = self.head();
        let first = head.next.get();
        let head_entry: *mut c_void = self.head.cast_mut().cast();
        // The first one is not counted, which spares most locks two stores; see `unlink`.
        if first != head_entry {
            THREAD.with(|thread| thread.held.set(thread.held.get() + 1));
        }
        // A thread that locks again often finds its last links still there.
        if node.next.load(Ordering::Relaxed) != first {
            node.next.store(first, Ordering::Relaxed);
        }
        if node.prev.load(Ordering::Relaxed) != head_entry {
            node.prev.store(head_entry, Ordering::Relaxed);
        }
        // SAFETY: `first` is the head or an entry of this thread's list, so its node is mapped
        // (contract of `link`, which the C library keeps for its own).
        unsafe { set_prev(first, head_entry, node.entry()) };
        compiler_fence(Ordering::SeqCst);
        head.next.set(node.entry());
    }

    /// Takes `node` out of the list.
    ///
    /// # Safety
    ///
    /// The calling thread has announced `node` and has it in its list.
    #[inline]
    pub unsafe fn unlink(self, node: &Node) {
        let head_entry: *mut c_void = self.head.cast_mut().cast();
        let next = node.next.load(Ordering::Relaxed);
        let prev = node.prev.load(Ordering::Relaxed);
        // Bit 0 of a link marks the C library's priority-inheritance mutexes.
        let before = prev.map_addr(|addr| addr & !1).cast::<*mut c_void>();
        // SAFETY: `before` is the head or the entry of a linked, hence mapped, node; both begin
        // with the link to what follows.
        unsafe { before.write(next) };
        // SAFETY: as in `link`, for the entry that follows.
        unsafe { set_prev(next, head_entry, prev) };
        compiler_fence(Ordering::SeqCst);
        THREAD.with(|thread| {
            let held = thread.held.get();
            if held > 0 {
                // In an empty list nothing is counted. Else one less, whether it was this node
                // that had not been counted or another one that is left.
                thread.held.set(if self.head().next.get() == head_entry { 0 } else { held - 1 });
            }
        });
    }

    #[inline]
    fn head(&self) -> &Head {
        // SAFETY: INVARIANT (registered).
        unsafe { &*self.head }
    }
}

/// Makes `prev` the predecessor of the entry `entry`, which is not the head.
///
/// # Safety
///
/// `entry` is the head or the entry of a linked node, with or without bit 0.
#[inline]
unsafe fn set_prev(entry: *mut c_void, head: *mut c_void, prev: *mut c_void) {
    let entry = entry.map_addr(|addr| addr & !1).cast::<*mut c_void>();
    // glibc gives the head a predecessor too, in the word before it; musl does not. Nobody reads
    // it, so the head is left alone.
    if entry.cast() == head {
        return;
    }
    // SAFETY: a node's entry is preceded by its `prev` word, within the same node.
    let slot = unsafe { entry.sub(1) };
    // SAFETY: the node is mapped and only its holder, which is this thread, writes its links.
    unsafe { slot.write(prev) };
}

/// `gettid`: the calling thread's id, asked anew each time.
///
/// # Examples
///
/// ```
/// let other = std::thread::spawn(mp_sys::robust::tid).join().unwrap();
/// assert_ne!(mp_sys::robust::tid(), other);
/// ```
pub fn tid() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get() as u32
}

fn registered_head() -> *const Head {
    let mut head: *const Head = ptr::null();
    let mut len: usize = 0;
    // SAFETY: get_robust_list(2) for the calling thread (0) writes one pointer and one length.
    let result =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
    if result == 0 && len == size_of::<Head>() { head } else { ptr::null() }
}

/// In a forked child: the list is empty and the thread id another one.
extern "C" fn forget_parent() {
    THREAD.with(|thread| {
        let head = thread.head.get();
        if !head.is_null() {
            // SAFETY: INVARIANT (registered), in the child at the same address. The C library
            // empties the list for the child, but leaves what the parent had announced.
            unsafe { (*head).pending.set(ptr::null_mut()) };
        }
        thread.head.set(ptr::null());
        thread.held.set(0);
    });
}
