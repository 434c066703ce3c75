//! `sigaction(2)` and `sigprocmask(2)`: what a process made by another one starts with.
#![expect(unsafe_code, reason = "signal dispositions have no safe wrapper")]

use std::mem::MaybeUninit;
use std::ptr;

/// One past the highest signal number.
const END: i32 = 65;

/// What a process does on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// What the kernel does if nobody says otherwise.
    Default,
    /// Nothing.
    Ignored,
    /// A handler runs, or the action has flags of its own.
    Handled,
}

/// `sigaction`, asking only: what this process does on `signal`.
///
/// # Examples
///
/// ```
/// use mp_sys::signal::{Disposition, disposition};
///
/// assert_eq!(disposition(13), Disposition::Ignored, "SIGPIPE: Rust's runtime ignores it");
/// ```
pub fn disposition(signal: i32) -> Disposition {
    let action = action(signal);
    match action.sa_sigaction {
        libc::SIG_IGN => Disposition::Ignored,
        libc::SIG_DFL if action.sa_flags & libc::SA_NOCLDWAIT == 0 => Disposition::Default,
        _ => Disposition::Handled,
    }
}

/// `sigaction`: ignores `signal` from here on; inherited by every child.
pub fn ignore(signal: i32) {
    set(signal, libc::SIG_IGN);
}

/// `sigaction`: gives `signal` its default action back.
pub fn restore(signal: i32) {
    set(signal, libc::SIG_DFL);
}

/// `sigaction` for all signals: what has a handler gets its default action; what is ignored stays
/// ignored. `SIGSEGV` and `SIGBUS` keep theirs, which on a Rust program's main thread is the
/// runtime's message about an overflowing stack.
///
/// Async-signal-safe.
pub fn reset_all_handlers() {
    (1..END).filter(|signal| is_handled(*signal)).for_each(restore);
}

fn is_handled(signal: i32) -> bool {
    let handler = action(signal).sa_sigaction;
    let keeps = matches!(signal, libc::SIGSEGV | libc::SIGBUS);
    !keeps && handler != libc::SIG_IGN && handler != libc::SIG_DFL
}

/// What a copy of this process is to undo. It is asked for before the fork, because each function
/// that a copy calls first costs it a page fault.
#[derive(Clone, Copy, Debug)]
pub struct Legacy {
    /// Bit `n`: signal `n` has a handler.
    handled: u32,
    blocks: bool,
}

impl Legacy {
    /// `sigaction` for signals 1 to 31, and `sigprocmask`, asking only. `SIGSEGV` and `SIGBUS`
    /// count as not handled: see [`reset_all_handlers`].
    pub fn of_this_thread() -> Legacy {
        let handled = (1..32).filter(|signal| is_handled(*signal));
        Legacy { handled: handled.fold(0, |bits, signal| bits | 1 << signal), blocks: blocks() }
    }

    /// In the copy: default actions in place of handlers, and no signal blocked.
    /// Async-signal-safe.
    #[inline]
    pub fn undo(self) {
        (1..32).filter(|signal| self.handled & 1 << signal != 0).for_each(restore);
        if self.blocks {
            unblock_all();
        }
    }
}

/// Whether the calling thread blocks any signal.
fn blocks() -> bool {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: with no new set only the old one is written.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), mask.as_mut_ptr()) };
    // SAFETY: the set was written: asking cannot fail (pthread_sigmask(3)).
    let mask = unsafe { mask.assume_init() };
    // SAFETY: sigismember(3) reads the set.
    (1..END).any(|signal| unsafe { libc::sigismember(&raw const mask, signal) } == 1)
}

/// `sigprocmask`: blocks `signal` on the calling thread, beside what it blocks already. Inherited by
/// every child.
pub fn block(signal: i32) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set is initialised; for no such signal it stays empty.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: the set is initialised, and the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()) };
}

/// `sigprocmask`: blocks no signal on the calling thread. Async-signal-safe.
pub fn unblock_all() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set is initialised, and the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut()) };
}

/// All signals are blocked on the calling thread while this lives.
#[derive(Debug)]
pub struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    /// `sigprocmask`: blocks what can be blocked.
    #[expect(clippy::new_without_default, reason = "it acts")]
    pub fn new() -> Blocked {
        let mut all = MaybeUninit::uninit();
        // SAFETY: sigfillset(3) initialises the set it is given.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        let mut before = MaybeUninit::uninit();
        // SAFETY: one set is initialised, the other is room for the old one.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        }
        // SAFETY: pthread_sigmask(3) cannot fail with a valid `how`, so it wrote the old set.
        Blocked { before: unsafe { before.assume_init() } }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set is the one that pthread_sigmask(3) wrote in `new`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut());
        }
    }
}

fn action(signal: i32) -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction(2) with no new action only writes the old one. If it fails, for a number
    // that is none, the zeros stay: the default action.
    unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid `sigaction` (SIG_DFL, no flags, an empty mask).
    unsafe { action.assume_init() }
}

fn set(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: all-zero bytes are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    // SAFETY: with SIG_DFL or SIG_IGN no function of ours runs on the signal.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}
