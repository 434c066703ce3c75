//! What a copy of this process does first.

use std::sync::{Mutex, PoisonError};

static HOOKS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Has `hook` called in every child that [`StartMethod::Fork`](crate::StartMethod) makes of this
/// process, before anything else of the child's. While there are hooks, starting such a child
/// waits until they have run, so that what the child has inherited is still there for them.
///
/// A building block for libraries that count who uses what: a forked child has copies of handles
/// for which nobody has counted it. The hook must not block, and where the process had other
/// threads it may take no lock that they could have held (use `try_lock`).
///
/// A hook is called once, however often it is given. The list is one of this crate's statics.
///
/// Python: `os.register_at_fork(after_in_child=hook)`.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use mp_process::{Process, StartMethod};
///
/// static FORKED: AtomicBool = AtomicBool::new(false);
///
/// fn main() -> Result<(), mp_process::Error> {
///     mp_process::init();
///     mp_process::at_fork(|| FORKED.store(true, Ordering::Relaxed));
///     let child = Process::forked(|| FORKED.load(Ordering::Relaxed)).start()?;
///     assert!(child.join()?);
///     assert!(!FORKED.load(Ordering::Relaxed));
///     Ok(())
/// }
/// ```
#[doc(alias = "register_at_fork")]
pub fn at_fork(hook: fn()) {
    let mut hooks = HOOKS.lock().unwrap_or_else(PoisonError::into_inner);
    if !hooks.iter().any(|other| std::ptr::fn_addr_eq(*other, hook)) {
        hooks.push(hook);
    }
}

/// The hooks at this moment: taken before the fork, so that the child needs no lock for them.
pub(crate) fn hooks() -> Vec<fn()> {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
