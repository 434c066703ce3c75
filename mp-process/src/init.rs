//! The one line that a program owes: whether this run of it is a child's.
#![expect(unsafe_code, reason = "the mark in the environment is removed, and names a descriptor")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{child, order};

/// The environment variable that marks a child: `WHERE:DESCRIPTOR:SOCKET`.
pub(crate) const MARK: &str = "MP_PROCESS_CHILD";

const NOWHERE: u8 = 0;
const BEFORE_MAIN: u8 = 1;
const MAIN: u8 = 2;

/// Where this program looks whether it is a child.
static ENTRY: AtomicU8 = AtomicU8::new(NOWHERE);

/// Where a child of this program is to begin. `None`: it would begin at the beginning.
pub(crate) fn entry() -> Option<&'static str> {
    // Relaxed: a flag set by the only thread there is at the time.
    word(ENTRY.load(Ordering::Relaxed))
}

fn word(entry: u8) -> Option<&'static str> {
    match entry {
        BEFORE_MAIN => Some("hook"),
        MAIN => Some("main"),
        _ => None,
    }
}

/// Makes a child of this program run its function here, and never return. In the program itself
/// it does nothing but remember that it was called.
///
/// It must be the first line of `main`: what stands before it happens again in every child that
/// is started by [`StartMethod::Spawn`](crate::StartMethod), and in the fork server.
///
/// Python: `if __name__ == '__main__': freeze_support()`.
///
/// # Examples
///
/// ```
/// use mp_process::Process;
///
/// fn square(x: u64) -> u64 { x * x }
///
/// fn main() -> Result<(), mp_process::Error> {
///     mp_process::init();
///     let child = Process::new(square, 12).start()?;
///     assert_eq!(child.join()?, 144);
///     Ok(())
/// }
/// ```
///
/// Without it, starting is an error that says so, and no process is made:
///
/// ```
/// use mp_process::{Error, Process};
///
/// fn main() {
///     let refused = Process::call(|| ()).start();
///     assert!(matches!(refused, Err(Error::NotInitialised)));
/// }
/// ```
#[doc(alias = "freeze_support")]
pub fn init() {
    begin(MAIN);
}

/// What the line of [`init_tests!`](crate::init_tests) calls before `main`.
#[doc(hidden)]
pub extern "C" fn before_main() {
    begin(BEFORE_MAIN);
}

/// Does for a test binary what [`init`] does for a program: one line, anywhere in the file of an
/// integration test, or in a library's `lib.rs` under `#[cfg(test)]`.
///
/// The `main` of a test binary belongs to the test harness, so this line puts a function among
/// those that the loader calls before `main` (the section `.init_array`). In a child, that
/// function runs the child's function and ends the process: the harness never begins. It is the
/// only code before `main` in this house, and only where this line stands.
///
/// What is different in such a child: the standard library's runtime has not started. The main
/// thread has no name, a stack that overflows is a plain `SIGSEGV`, `SIGPIPE` is as it was
/// inherited, and what other libraries do before `main` may not have been done. Printing,
/// arguments, environment, threads and panics work.
///
/// # Examples
///
/// ```standalone_crate
/// mp_process::init_tests!();
///
/// // #[test]
/// fn a_child_computes() {
///     let child = mp_process::Process::new(|x: u32| x + 1, 1).start().unwrap();
///     assert_eq!(child.join().unwrap(), 2);
/// }
/// # a_child_computes();
/// ```
#[macro_export]
macro_rules! init_tests {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = $crate::before_main;
        };
    };
}

fn begin(here: u8) {
    if ENTRY.fetch_max(here, Ordering::Relaxed) >= here {
        return;
    }
    // Where there is no /proc, starting says so.
    let _ = mp_sys::image::pin();
    if let Some(socket) = take_mark(here) {
        child::arrive(socket);
    }
}

/// The mark for a child whose end of the socket is `socket`.
pub(crate) fn mark(socket: BorrowedFd<'_>) -> Option<String> {
    let number = order::socket_number(socket)?;
    Some(format!("{}:{}:{number}", entry()?, socket.as_raw_fd()))
}

/// If this process is a child that begins `here`: its end of the socket.
fn take_mark(here: u8) -> Option<OwnedFd> {
    let mark = std::env::var(MARK).ok()?;
    if mark.split(':').next() != word(here) {
        return None;
    }
    // SAFETY: this is the first line of main, or before it: there is no other thread that could
    // read the environment at the same time.
    unsafe { std::env::remove_var(MARK) };
    let fd = named(&mark)?;
    // SAFETY: the parent passed this socket to this process under this number, for us alone.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    mp_sys::stdio::close_on_exec(socket.as_fd()).ok()?;
    Some(socket)
}

/// The socket that a mark names. The environment may hold anything, as well a mark that some other
/// program passed on: that does not name the very socket that its parent made.
pub(crate) fn named(mark: &str) -> Option<RawFd> {
    let mut parts = mark.split(':').skip(1);
    // A number below 0 is no descriptor.
    let fd: RawFd = parts.next()?.parse().ok().filter(|fd| *fd >= 0)?;
    let number: u64 = parts.next()?.parse().ok()?;
    // SAFETY: the borrow lasts for one call, in which a closed descriptor is an error.
    let named = unsafe { BorrowedFd::borrow_raw(fd) };
    (order::socket_number(named) == Some(number)).then_some(fd)
}
