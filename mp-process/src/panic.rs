//! A panic as a value.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use serde::{Deserialize, Serialize};

/// What a panic said, and where: it travels from the process that panicked to whoever waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanicInfo {
    /// The message, or `Box<dyn Any>` for a payload that is no text.
    pub message: String,
    /// `file:line:column`. `None` if the program has replaced the panic hook since the process
    /// started, or panicked with `resume_unwind`.
    pub location: Option<String>,
    /// The stack, where backtraces are enabled (`RUST_BACKTRACE`).
    pub backtrace: Option<String>,
}

impl fmt::Display for PanicInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "panicked at {location}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

impl std::error::Error for PanicInfo {}

thread_local! {
    /// How many `catch_panic` are on this thread's stack.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    /// Whether the innermost of them is a `catch_panic_quietly`.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<PanicInfo>> = const { RefCell::new(None) };
}

/// Calls `f`, and returns its panic as a value. What the panic hook prints is printed as ever.
///
/// The first call in a process, or its first start by fork, puts a hook in front of the one that is
/// installed, which notes the location and, where enabled, the backtrace.
///
/// # Errors
///
/// The panic.
///
/// # Examples
///
/// ```
/// let panic = mp_process::catch_panic(|| [1, 2, 3].iter().for_each(|n| assert!(*n < 3, "{n}")));
/// let panic = panic.unwrap_err();
/// assert_eq!(panic.message, "3");
/// assert!(panic.location.unwrap().contains(".rs:"));
/// ```
pub fn catch_panic<R>(f: impl FnOnce() -> R) -> Result<R, PanicInfo> {
    catch(f, false)
}

/// As [`catch_panic`], but nothing is printed: for panics that are told to somebody else.
///
/// It is for the calling thread alone; what others print they print.
///
/// # Errors
///
/// The panic.
///
/// # Examples
///
/// ```
/// let panic = mp_process::catch_panic_quietly(|| panic!("not a word")).unwrap_err();
/// assert_eq!(panic.message, "not a word");
/// ```
pub fn catch_panic_quietly<R>(f: impl FnOnce() -> R) -> Result<R, PanicInfo> {
    catch(f, true)
}

/// Puts the hook there, once.
pub(crate) fn note_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let printing = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            note(info);
            if !QUIET.get() {
                printing(info);
            }
        }));
    });
}

fn catch<R>(f: impl FnOnce() -> R, quiet: bool) -> Result<R, PanicInfo> {
    note_panics();
    CATCHING.set(CATCHING.get() + 1);
    let outer = QUIET.replace(quiet);
    let result = std::panic::catch_unwind(AssertUnwindSafe(f));
    QUIET.set(outer);
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|payload| {
        let noted = LAST.take();
        let message = text(&*payload);
        if payload.is::<&str>() || payload.is::<String>() {
            drop(payload);
        } else {
            // Dropping any other payload may itself panic; it is not ours to run.
            std::mem::forget(payload);
        }
        match noted {
            Some(noted) if noted.message == message => noted,
            _ => PanicInfo { message, location: None, backtrace: None },
        }
    })
}

fn note(info: &PanicHookInfo<'_>) {
    if CATCHING.get() == 0 {
        return;
    }
    let backtrace = Backtrace::capture();
    let noted = PanicInfo {
        message: text(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
    };
    LAST.set(Some(noted));
}

fn text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_string()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "Box<dyn Any>".to_string()
    }
}
