//! Who this process is, and whose child.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mp_ipc::Fd;
use mp_sys::poll::{Interest, wait_for};
use mp_sys::{Deadline, Errno, pidfd};
use serde::{Deserialize, Serialize};

/// What a child is told about itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kinship {
    pub(crate) name: String,
    /// The how-manyth child of the how-manyth child ... this is.
    pub(crate) path: Vec<u32>,
    pub(crate) daemon: bool,
    pub(crate) parent_pid: i32,
    pub(crate) parent_name: String,
    /// The parent's pidfd. A child of the fork server has it from the server.
    pub(crate) parent: Option<Fd>,
}

#[derive(Debug)]
pub(crate) struct Me {
    name: String,
    path: Vec<u32>,
    daemon: bool,
    parent: Option<Parent>,
}

static ME: Mutex<Option<Arc<Me>>> = Mutex::new(None);
/// How many children this process has named.
static CHILDREN: AtomicU32 = AtomicU32::new(0);
/// This process's own pidfd, for its children.
static PIDFD: Mutex<Option<(u32, Arc<OwnedFd>)>> = Mutex::new(None);

fn me() -> Arc<Me> {
    let mut me = ME.lock().unwrap_or_else(PoisonError::into_inner);
    let main = || {
        Arc::new(Me { name: "MainProcess".into(), path: Vec::new(), daemon: false, parent: None })
    };
    Arc::clone(me.get_or_insert_with(main))
}

/// While this lives, no other thread is in the middle of changing what stands in this file.
pub(crate) fn hold() -> impl Sized {
    let me = ME.lock().unwrap_or_else(PoisonError::into_inner);
    (me, PIDFD.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Kinship {
    fn into_me(self, process: Option<Arc<OwnedFd>>) -> Arc<Me> {
        let Kinship { name, path, daemon, parent_pid, parent_name, .. } = self;
        let parent = process.map(|process| Parent { pid: parent_pid, name: parent_name, process });
        Arc::new(Me { name, path, daemon, parent })
    }

    /// Who a copy of this process, made by fork, will be.
    pub(crate) fn of_copy(self) -> Result<Arc<Me>, Errno> {
        let process = own_pidfd()?;
        Ok(self.into_me(Some(process)))
    }

    /// The same, for a process that has nothing of this one's.
    pub(crate) fn for_stranger(mut self) -> Result<Kinship, Errno> {
        self.parent = Some(Fd(own_pidfd()?.try_clone().map_err(|_| Errno::MFILE)?));
        Ok(self)
    }
}

/// In a child: from here on this process is the one that `kinship` describes.
pub(crate) fn become_child(mut kinship: Kinship) {
    let process = match kinship.parent.take() {
        Some(fd) => Some(Arc::new(fd.0)),
        None => me().parent.as_ref().map(|parent| Arc::clone(&parent.process)),
    };
    become_copy(kinship.into_me(process));
}

/// In a copy of the parent: from here on this process is this one.
pub(crate) fn become_copy(me: Arc<Me>) {
    let old = ME.lock().unwrap_or_else(PoisonError::into_inner).replace(me);
    // Not dropped: that would write to a page that is shared with the parent.
    std::mem::forget(old);
    CHILDREN.store(0, Ordering::Relaxed);
}

/// The kinship of this process's next child.
pub(crate) fn next_child(name: Option<String>, daemon: Option<bool>) -> Kinship {
    let me = me();
    // Relaxed: only the number matters.
    let number = CHILDREN.fetch_add(1, Ordering::Relaxed) + 1;
    let path: Vec<u32> = me.path.iter().copied().chain([number]).collect();
    let numbers: Vec<String> = path.iter().map(u32::to_string).collect();
    Kinship {
        name: name.unwrap_or_else(|| format!("Process-{}", numbers.join(":"))),
        path,
        daemon: daemon.unwrap_or(me.daemon),
        parent_pid: std::process::id() as i32,
        parent_name: me.name.clone(),
        parent: None,
    }
}

/// The kinship of this process's fork server.
pub(crate) fn server() -> Kinship {
    let me = me();
    Kinship {
        name: "fork server".into(),
        path: me.path.clone(),
        daemon: true,
        parent_pid: std::process::id() as i32,
        parent_name: me.name.clone(),
        parent: None,
    }
}

fn own_pidfd() -> Result<Arc<OwnedFd>, Errno> {
    let mut known = PIDFD.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    if let Some((of, process)) = &*known
        && *of == pid
    {
        return Ok(Arc::clone(process));
    }
    let process = Arc::new(mp_sys::stdio::above(pidfd::open(pid as i32)?)?);
    *known = Some((pid, Arc::clone(&process)));
    Ok(process)
}

/// The process that calls: its name, number and kind. See [`current`].
#[derive(Clone, Debug)]
pub struct Current {
    me: Arc<Me>,
}

/// The calling process. Python: `multiprocessing.current_process()`.
///
/// # Examples
///
/// ```
/// let me = mp_process::current();
/// assert_eq!(me.name(), "MainProcess");
/// assert_eq!(me.pid(), std::process::id() as i32);
/// assert!(!me.is_daemon());
/// ```
#[doc(alias = "current_process")]
pub fn current() -> Current {
    Current { me: me() }
}

impl Current {
    /// The name: `MainProcess`, `Process-1`, `Process-1:2`, or the one it was given.
    pub fn name(&self) -> &str {
        &self.me.name
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        std::process::id() as i32
    }

    /// Whether it ends with its parent.
    pub fn is_daemon(&self) -> bool {
        self.me.daemon
    }
}

/// The process that started this one, as seen from here. See [`parent`].
#[derive(Clone)]
pub struct Parent {
    pid: i32,
    name: String,
    process: Arc<OwnedFd>,
}

/// The process that started this one; `None` in the first process of the program.
///
/// Python: `multiprocessing.parent_process()`.
///
/// # Examples
///
/// ```
/// assert!(mp_process::parent().is_none(), "nobody of ours started this one");
/// ```
#[doc(alias = "parent_process")]
pub fn parent() -> Option<Parent> {
    me().parent.clone()
}

impl Parent {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, which may belong to another process once it has ended.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        !self.wait_until(Some(Deadline::now()))
    }

    /// Waits until it has ended.
    ///
    /// # Blocking
    ///
    /// Waits for the parent's end, which is what it is for: whatever ends the parent, this
    /// returns.
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// As [`wait`](Parent::wait), but at most this long: whether it has ended.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Parent::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Some(Deadline::after(timeout)))
    }

    fn wait_until(&self, deadline: Option<Deadline>) -> bool {
        // poll(2) of one open descriptor fails for want of memory only; then it may be alive.
        wait_for(self.process.as_fd(), Interest::Readable, deadline).unwrap_or(false)
    }
}

impl AsFd for Parent {
    /// A pidfd: readable once the parent has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parent").field("pid", &self.pid).field("name", &self.name).finish()
    }
}
