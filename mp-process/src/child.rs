//! Everything that a child does before and after it calls the function.
//!
//! A child arrives in one of three ways. One that executes the program again finds its order in
//! the socket that it is given: it was posted before the child existed. One that the fork server
//! makes waits for its order, and who makes it go on posts that first. One that is forked from its
//! parent has its order in memory.
//!
//! A forked child runs with the only thread of a process that had only this thread (or whose owner
//! has vouched for the others, see [`Process::start_despite_threads`]), so it may allocate. It may
//! not unwind into its parent's stack, return from here, or run its parent's exit handlers.
//!
//! [`Process::start_despite_threads`]: crate::Process::start_despite_threads
#![expect(
    unsafe_code,
    reason = "the environment of a process with one thread is changed, and a static owns a socket"
)]

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use mp_ipc::Message;
use mp_sys::fork::exit_now;
use mp_sys::signal::{self, Legacy};
use mp_sys::{Errno, dir, image, lifeline, limits, sched, stdio};

use crate::error::TaskError;
use crate::function::Task;
use crate::order::{self, Order, Refusal, Setup, Stdio, Update};
use crate::post::{self, Kind};
use crate::{children, family, identity, logging};

/// The exit status of a child whose function panicked: Rust's own.
const PANICKED: i32 = 101;
/// The exit status of a child that could not begin, or could not hand over its value, or whose
/// function returned `Err`.
const FAILED: i32 = 1;

const SIGINT: i32 = 2;

/// The socket to the parent while the function runs, where a copy of this process can find and
/// close it; 0 for none. It is all zeros at first, as is what else a child writes to: then they lie
/// on one page.
// INVARIANT (socket): what stands here is a descriptor that nobody else owns.
static SOCKET: AtomicI32 = AtomicI32::new(0);

fn hold(socket: OwnedFd) {
    // Relaxed: the process has this one thread.
    SOCKET.store(socket.into_raw_fd(), Ordering::Relaxed);
}

fn take_socket() -> Option<OwnedFd> {
    // Relaxed: a thread of the function's may end the process, but only one can.
    let socket = SOCKET.swap(0, Ordering::Relaxed);
    // SAFETY: INVARIANT (socket), and it has been taken out.
    (socket > 0).then(|| unsafe { OwnedFd::from_raw_fd(socket) })
}

/// Whether a copy of this process has a socket to [forget](forget_socket).
pub(crate) fn has_socket() -> bool {
    // Relaxed: as in `hold`.
    SOCKET.load(Ordering::Relaxed) > 0
}

/// In a copy of a child: forgets the socket to the parent of the original.
pub(crate) fn forget_socket() {
    drop(take_socket());
}

/// A call that is ready to be made, and made once: what came of it, and whether that is an `Err`.
pub(crate) type Call<'a> = dyn FnMut() -> (Result<Message, TaskError>, bool) + 'a;

/// A child that has executed the program again.
pub(crate) fn arrive(socket: OwnedFd) -> ! {
    // A kernel before 6.14 names the process after the number of the descriptor it executed.
    if let Ok(program) = std::env::current_exe()
        && let Some(name) = program.file_name()
    {
        image::set_name(name.to_string_lossy().trim_end_matches(" (deleted)"));
    }
    begin(socket, None, None)
}

/// The order that lies in the socket of a child, or is on its way there. A parent that is stopped
/// between two packets for longer finds that the child has gone.
pub(crate) fn take_order(socket: BorrowedFd<'_>) -> Option<(Order, Message)> {
    post::recv_followers(socket, Duration::from_secs(10)).ok().flatten().and_then(order::open)
}

/// A child that has its order in the socket, unless that has been taken out, and the function been
/// found, already.
pub(crate) fn begin(socket: OwnedFd, order: Option<(Order, Message)>, task: Option<Task>) -> ! {
    // No order: the parent was gone before it had posted one, and nobody waits for us.
    let Some((order, arguments)) = order.or_else(|| take_order(socket.as_fd())) else {
        exit_now(FAILED)
    };
    let Order { key, task: id, kinship, logging, lifeline, update, setup, hello } = order;
    family::adopt(key);
    identity::become_child(kinship);
    logging::adopt(logging);
    let prepared = arm(lifeline).and_then(|()| catch_up(update)).and_then(|()| settle(setup));
    let find = || task.map_or_else(|| id.resolve().map_err(Refusal::Function), Ok);
    let resolved = prepared.and_then(|()| find());
    let code = match resolved {
        Ok(task) => {
            if hello {
                greet(socket.as_fd());
            }
            hold(socket);
            let result = task.call(arguments);
            let is_err = result.as_ref().is_ok_and(|value| task.is_err(value));
            finish(result, is_err)
        }
        Err(refusal) => refuse(socket.as_fd(), &refusal),
    };
    std::process::exit(code)
}

/// What a forked child has of its parent.
pub(crate) struct Inheritance<'a> {
    pub(crate) socket: OwnedFd,
    pub(crate) me: Arc<identity::Me>,
    pub(crate) lifeline: Option<OwnedFd>,
    pub(crate) setup: Setup,
    pub(crate) signals: Legacy,
    pub(crate) hello: bool,
    pub(crate) hooks: Vec<fn()>,
    pub(crate) call: &'a mut Call<'a>,
}

/// A child that has been forked from its parent.
///
/// The first write to a page, and the first call in 64 KiB of code, cost it a page fault each, a
/// fiftieth of what making it has cost. So it frees nothing, and what its parent can do for it is
/// done already.
#[inline]
pub(crate) fn forked(inheritance: Inheritance<'_>) -> ! {
    let run = || {
        let Inheritance { socket, me, lifeline, setup, signals, hello, hooks, call } = inheritance;
        signals.undo();
        hooks.iter().for_each(|hook| hook());
        std::mem::forget(hooks);
        identity::become_copy(me);
        let prepared = arm(lifeline.map(mp_ipc::Fd)).and_then(|()| settle(setup));
        if let Err(refusal) = prepared {
            return refuse(socket.as_fd(), &refusal);
        }
        if hello {
            greet(socket.as_fd());
        }
        hold(socket);
        let (result, is_err) = call();
        finish(result, is_err)
    };
    // The parent's frames are on this stack: no panic may come to them.
    exit_now(catch_unwind(AssertUnwindSafe(run)).unwrap_or(PANICKED))
}

fn arm(end: Option<mp_ipc::Fd>) -> Result<(), Refusal> {
    match end {
        Some(end) => lifeline::arm(end.0).map_err(refusal("tie itself to its parent")),
        None => Ok(()),
    }
}

/// Makes of this process what `setup` says.
fn settle(setup: Setup) -> Result<(), Refusal> {
    let Setup { stdio, env_clear, env, current_dir, affinity, limits, ignore_interrupt } = setup;
    if ignore_interrupt {
        signal::ignore(SIGINT);
    }
    for (target, stdio) in (0..).zip(stdio) {
        redirect(target, stdio).map_err(|errno| closed(target, errno))?;
    }
    if env_clear {
        clear_environment();
    }
    env.into_iter().for_each(|(name, value)| set_variable(&name, value));
    if let Some(path) = current_dir {
        std::env::set_current_dir(&path).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            refusal(&format!("enter the directory {}", path.display()))(errno)
        })?;
    }
    if let Some(cpus) = affinity {
        run_on(&cpus)?;
    }
    for (limit, value) in limits {
        limits::set(limit.resource(), value)
            .map_err(|errno| refusal(&format!("limit {limit:?}"))(errno))?;
    }
    Ok(())
}

fn redirect(target: i32, to: Stdio) -> Result<(), Errno> {
    match to {
        Stdio::Inherit => Ok(()),
        Stdio::Fd(fd) => stdio::replace(target, fd.as_fd()),
        Stdio::Null => stdio::replace(target, stdio::null()?),
    }
}

/// In a child of the fork server: makes good what the server is behind its owner.
fn catch_up(update: Update) -> Result<(), Refusal> {
    let Update { stdio, env, current_dir, affinity } = update;
    for (target, stdio) in (0..).zip(stdio) {
        redirect(target, stdio).map_err(|errno| closed(target, errno))?;
    }
    if let Some(env) = env {
        clear_environment();
        env.into_iter().for_each(|(name, value)| set_variable(&name, Some(value)));
    }
    if let Some(dir) = current_dir {
        dir::enter(dir.as_fd()).map_err(refusal("enter its parent's directory"))?;
    }
    if let Some(cpus) = affinity {
        run_on(&cpus)?;
    }
    Ok(())
}

fn run_on(cpus: &[usize]) -> Result<(), Refusal> {
    sched::set_affinity(cpus)
        .map_err(|errno| refusal(&format!("run on the processors {cpus:?}"))(errno))
}

#[cold]
fn closed(target: i32, errno: Errno) -> Refusal {
    refusal(&format!("open its descriptor {target}"))(errno)
}

fn clear_environment() {
    for (name, _) in std::env::vars_os() {
        set_variable(&name, None);
    }
}

fn set_variable(name: &OsStr, value: Option<OsString>) {
    match value {
        // SAFETY: the process has this one thread.
        Some(value) => unsafe { std::env::set_var(name, value) },
        // SAFETY: as above.
        None => unsafe { std::env::remove_var(name) },
    }
}

fn refusal(what: &str) -> impl Fn(Errno) -> Refusal {
    move |errno| Refusal::Setup { what: what.to_string(), errno: errno.raw_os_error() }
}

/// Tells the parent that the function is about to be called.
fn greet(socket: BorrowedFd<'_>) {
    // A parent that is gone does not wait for a word.
    let _ = post::send(socket, Kind::Hello, &[], &[]);
}

fn refuse(socket: BorrowedFd<'_>, refusal: &Refusal) -> i32 {
    if let Ok(message) = mp_ipc::encode(refusal) {
        // As above.
        let _ = post::send(socket, Kind::Refusal, &[&message.bytes], &[]);
    }
    FAILED
}

/// Hands over what came of the call, and does what a process does before it ends. Returns its
/// exit status.
fn finish(result: Result<Message, TaskError>, is_err: bool) -> i32 {
    let socket = take_socket();
    let socket = socket.as_ref().map(AsFd::as_fd);
    let sent = match (&result, socket) {
        (Ok(value), Some(socket)) => {
            let fds: Vec<_> = value.fds.iter().map(AsFd::as_fd).collect();
            post::send(socket, Kind::Value, &[&value.bytes], &fds)
        }
        _ => Ok(()),
    };
    let failure = match (result, sent) {
        (Err(failure), _) => Some(failure),
        // A parent that is gone wants no value.
        (Ok(_), Ok(()) | Err(Errno::PIPE)) => None,
        (Ok(_), Err(errno)) => Some(TaskError::Value(errno.to_string())),
    };
    if let (Some(failure), Some(socket)) = (&failure, socket)
        && let Ok(message) = mp_ipc::encode(failure)
    {
        // As above.
        let _ = post::send(socket, Kind::Failure, &[&message.bytes], &[]);
    }
    // Output that cannot be written is nobody's error any more.
    let _ = std::io::stdout().flush();
    children::end();
    match failure {
        Some(TaskError::Panicked(_)) => PANICKED,
        Some(_) => FAILED,
        None if is_err => FAILED,
        None => 0,
    }
}
