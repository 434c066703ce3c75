//! The children of this process: who they are, and what becomes of them when it ends.
//!
//! The list is what [`active_children`](crate::active_children) shows, and it reaps those whose
//! handle has been dropped. It also keeps their lifelines.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mp_sys::Deadline;
use mp_sys::fork::{at_exit, pid};

use crate::watch::Watch;

/// How long a daemonic child has between the request to end and its end by force.
const GRACE: Duration = Duration::from_secs(1);

/// So many children are looked at whenever one starts. Of more, one start in so many looks at all:
/// the price of a start does not grow with them.
const FEW: usize = 16;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

pub(crate) struct Children {
    list: Vec<Arc<Watch>>,
    /// How long the list becomes before it is swept again.
    most: usize,
    at_exit: bool,
}

static CHILDREN: Mutex<Children> =
    Mutex::new(Children { list: Vec::new(), most: 0, at_exit: false });
/// Whose children these are. A copy of that process has none. Outside of the lock, so that a copy
/// that starts nobody need not write here.
static PARENT: AtomicI32 = AtomicI32::new(0);

/// The list of the calling process.
pub(crate) fn lock() -> MutexGuard<'static, Children> {
    let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    // Relaxed: it changes under the lock only.
    if PARENT.load(Ordering::Relaxed) != pid() {
        PARENT.store(pid(), Ordering::Relaxed);
        // The list is that of the process whose copy this is. It is not dropped: that would write
        // to page after page of memory that the two share.
        std::mem::forget(std::mem::take(&mut children.list));
    }
    children
}

impl Children {
    /// Takes away the children that have ended.
    fn sweep(&mut self) {
        self.list.retain(|watch| watch.status().is_none());
        self.most = self.list.len() + self.list.len() / 4 + FEW;
    }
}

/// Adds a child, and from time to time reaps those that have ended.
pub(crate) fn add(watch: Arc<Watch>) {
    let mut children = lock();
    if children.list.len() < FEW || children.list.len() >= children.most {
        children.sweep();
    }
    children.list.push(watch);
    if !children.at_exit {
        // Without room for one more handler, children are not waited for at exit.
        children.at_exit = at_exit(end);
    }
}

/// The children that have not ended; the others are reaped.
pub(crate) fn living() -> Vec<Arc<Watch>> {
    let mut children = lock();
    children.sweep();
    children.list.clone()
}

/// What a process does about its children before it ends normally: those that are daemonic are
/// ended, the others waited for.
pub(crate) extern "C" fn end() {
    // Relaxed: a process that has had children has written its own number here.
    if PARENT.load(Ordering::Relaxed) != pid() {
        return;
    }
    let list = std::mem::take(&mut lock().list);
    if list.is_empty() {
        return;
    }
    let (daemons, others): (Vec<_>, Vec<_>) = list.into_iter().partition(|watch| watch.daemon);
    for daemon in &daemons {
        // It may have ended, which is as good.
        let _ = daemon.signal(SIGTERM);
    }
    let grace = Deadline::after(GRACE);
    for daemon in &daemons {
        if daemon.wait_until(Some(grace)).is_none() {
            let _ = daemon.signal(SIGKILL);
            daemon.wait_until(None);
        }
    }
    for other in &others {
        other.wait_until(None);
    }
}
