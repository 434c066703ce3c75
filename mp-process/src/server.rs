//! The fork server: a small process with one thread that forks when it is asked to.
//!
//! It is made by spawn, so it has none of its owner's memory and threads, and forking it costs the
//! same however large its owner has grown. A request is one packet with two descriptors: the end
//! of a socket in which the child's order lies already, and a pipe into which the server writes
//! the child's status. The child itself tells its parent that it is there. So the server answers
//! nobody, several threads may ask at once, and the death of the server shows at once in both
//! descriptors: the socket's other end closes unless there is a child, and the pipe closes.
//!
//! The server ignores `SIGINT`; it ends when its owner lets go of the request socket (and its last
//! child has ended), and dies with its owner by its lifeline.

use std::collections::VecDeque;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use mp_ipc::Fd;
use mp_sys::fork::{Fork, fork_single, thread_count};
use mp_sys::poll::{Interest, poll, wait_for};
use mp_sys::signal::{self, Disposition};
use mp_sys::{Deadline, Errno, pidfd};

use crate::function::{FnId, Task};
use crate::post::{self, Kind};
use crate::{ExitStatus, child};

const SIGINT: i32 = 2;

/// What a server writes about a child: `[kind][value]`, four bytes each.
const EXITED: i32 = 1;
const SIGNALED: i32 = 2;
const UNKNOWN: i32 = 3;
const NOT_FORKED: i32 = 4;

/// What the pipe of a child says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It runs.
    Nothing,
    /// It has ended.
    Status(ExitStatus),
    /// There is no child: the server could not fork.
    NotForked(Errno),
    /// The server is dead.
    Gone,
}

/// Reads the pipe of a child, waiting until `deadline`.
pub(crate) fn read_status(mut pipe: &PipeReader, deadline: Option<Deadline>) -> Said {
    if !wait_for(pipe.as_fd(), Interest::Readable, deadline).unwrap_or(false) {
        return Said::Nothing;
    }
    let mut bytes = [0; 8];
    // A pipe holds eight bytes whole or not at all (pipe(7)).
    if !matches!(pipe.read(&mut bytes), Ok(8)) {
        return Said::Gone;
    }
    let word =
        |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    match (word(0), word(4)) {
        (EXITED, code) => Said::Status(ExitStatus::Exited(code)),
        (SIGNALED, signal) => Said::Status(ExitStatus::Signaled(signal)),
        (NOT_FORKED, errno) => Said::NotForked(Errno::from_raw_os_error(errno)),
        _ => Said::Status(ExitStatus::Unknown),
    }
}

fn write_status(pipe: OwnedFd, kind: i32, value: i32) {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&kind.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_le_bytes());
    // A parent that is gone does not ask.
    let _ = std::fs::File::from(pipe).write_all(&bytes);
}

/// The body of a request for a child whose order is short: the server reads it itself. A long one
/// it leaves to the child.
pub(crate) const SHORT: [u8; 1] = [1];

/// The functions that children were asked to call last, found once and for all of them.
#[derive(Default)]
struct Known {
    list: VecDeque<(FnId, Task)>,
}

impl Known {
    const MOST: usize = 16;

    /// `None`: it is for the child to find it, or to say why not.
    fn resolve(&mut self, id: &FnId) -> Option<Task> {
        if let Some((_, task)) = self.list.iter().find(|(known, _)| known == id) {
            return Some(*task);
        }
        // Loading a library is for the child: it may start threads.
        let is_loaded = id.entry.is_loaded() && id.function.is_loaded();
        let task = is_loaded.then(|| id.resolve().ok())??;
        if self.list.len() == Known::MOST {
            self.list.pop_front();
        }
        self.list.push_back((id.clone(), task));
        Some(task)
    }
}

/// A child of the server.
struct Born {
    process: OwnedFd,
    status: OwnedFd,
}

/// The server's life.
///
/// # Errors
///
/// What a preload function did wrong.
pub(crate) fn serve((control, preload): (Fd, Vec<FnId>)) -> Result<(), String> {
    let interrupt = signal::disposition(SIGINT);
    signal::ignore(SIGINT);
    prepare(&preload)?;
    let mut control = Some(control.0);
    let mut nursery: Vec<Born> = Vec::new();
    let mut known = Known::default();
    while control.is_some() || !nursery.is_empty() {
        let ready = {
            let mut fds: Vec<_> =
                nursery.iter().map(|born| (born.process.as_fd(), Interest::Readable)).collect();
            fds.extend(control.iter().map(|control| (control.as_fd(), Interest::Readable)));
            poll(&fds, None).map_err(|errno| errno.to_string())?
        };
        let asked = control.is_some() && ready.last() == Some(&true);
        for at in (0..nursery.len()).rev().filter(|at| ready[*at]) {
            report(nursery.swap_remove(at));
        }
        let Some(requests) = control.as_ref().filter(|_| asked) else { continue };
        match post::try_recv(requests.as_fd()) {
            Ok(Some(letter)) => {
                let mut fds = letter.message.fds;
                let (Kind::Fork, Some(status), Some(socket), true) =
                    (letter.kind, fds.pop(), fds.pop(), fds.is_empty())
                else {
                    continue;
                };
                // A page fault here costs the server one, once; there it would cost every child one.
                let short = letter.message.bytes == SHORT;
                let order = if short { child::take_order(socket.as_fd()) } else { None };
                let task = order.as_ref().and_then(|(order, _)| known.resolve(&order.task));
                match fork_single() {
                    Ok(Fork::Child) => {
                        drop((control, status));
                        drop(nursery);
                        child::forget_socket();
                        if interrupt != Disposition::Ignored {
                            signal::restore(SIGINT);
                        }
                        child::begin(socket, order, task)
                    }
                    Ok(Fork::Parent(pid)) => match pidfd::open(pid) {
                        Ok(process) => nursery.push(Born { process, status }),
                        Err(_) => write_status(status, UNKNOWN, 0),
                    },
                    Err(errno) => write_status(status, NOT_FORKED, errno.raw_os_error()),
                }
            }
            Err(Errno::AGAIN | Errno::MFILE | Errno::PROTO) => {}
            Ok(None) | Err(_) => control = None,
        }
    }
    Ok(())
}

fn prepare(preload: &[FnId]) -> Result<(), String> {
    for id in preload {
        let task = id.resolve().map_err(|error| error.to_string())?;
        let nothing = mp_ipc::encode(&()).map_err(|error| error.to_string())?;
        task.call(nothing).map_err(|error| format!("a preload function {error}"))?;
    }
    // What they printed must not be printed again by every child.
    let _ = std::io::stdout().flush();
    match thread_count() {
        Ok(1) => Ok(()),
        Ok(count) => Err(format!("the preload functions left {} threads running", count - 1)),
        Err(errno) => Err(errno.to_string()),
    }
}

fn report(born: Born) {
    match pidfd::try_reap(&born.process) {
        Ok(Some(pidfd::Status::Exited(code))) => write_status(born.status, EXITED, code),
        Ok(Some(pidfd::Status::Signaled(signal))) => write_status(born.status, SIGNALED, signal),
        // A preload function has made the kernel, or itself, reap the server's children.
        Ok(None) | Err(_) => write_status(born.status, UNKNOWN, 0),
    }
}
