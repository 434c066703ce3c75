//! The fork server: a small process with one thread that forks when it is asked to.
//!
//! It is made by spawn, so it has none of its owner's memory and threads, and forking it costs the
//! same however large its owner has grown. It forks ahead: a request is answered by a child that
//! waits for its order, as one packet with the child's pidfd and the socket to it. The owner asks
//! for the next child when it takes one, so a start finds its child there, and the fork is done
//! while nobody waits for it. An order goes from the owner to the child, past the server.
//!
//! Several threads may ask at once: each takes whatever child comes. A child that has no order
//! ends when its socket closes or the owner has gone, so none is left when anybody dies.
//!
//! Where the kernel keeps the status of a process with its pidfd (since Linux 6.15), it reaps the
//! server's children itself, and the owner reads the status there. Elsewhere the server reaps
//! them, and writes each status into a pipe that goes to the owner with the child.
//!
//! The server blocks `SIGINT`; it ends when its owner lets go of the request socket (and its last
//! child has ended), and dies with its owner by its lifeline.

use std::collections::VecDeque;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use mp_ipc::Fd;
use mp_sys::fork::{Fork, exit_now, fork_single, thread_count};
use mp_sys::poll::{Interest, poll, wait_for};
use mp_sys::signal::{self, Disposition};
use mp_sys::{Deadline, Errno, lifeline, pidfd};

use crate::error::Error;
use crate::function::{FnId, Task};
use crate::post::{self, Kind};
use crate::{ExitStatus, child, start};

const SIGINT: i32 = 2;
const SIGCHLD: i32 = 17;

/// What a server writes about a child: `[kind][value]`, four bytes each.
const EXITED: i32 = 1;
const SIGNALED: i32 = 2;
const UNKNOWN: i32 = 3;

/// What the pipe of a child says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It runs.
    Nothing,
    /// It has ended.
    Status(ExitStatus),
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

/// The functions that children were asked to call last, found once and for all of them: a page
/// fault in the server is one, in its children it is one each.
#[derive(Default)]
struct Known {
    list: VecDeque<(FnId, Task)>,
}

impl Known {
    const MOST: usize = 16;

    fn find(&self, id: &FnId) -> Option<Task> {
        self.list.iter().find(|(known, _)| known == id).map(|(_, task)| *task)
    }

    fn learn(&mut self, id: FnId) {
        // Loading a library is for the child: it may start threads.
        if self.find(&id).is_none()
            && id.entry.is_loaded()
            && id.function.is_loaded()
            && let Ok(task) = id.resolve()
        {
            if self.list.len() == Known::MOST {
                self.list.pop_front();
            }
            self.list.push_back((id, task));
        }
    }
}

/// A child of the server whose status it reports.
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
    // Not ignored: a child that has just been forked must not miss it.
    signal::block(SIGINT);
    prepare(&preload)?;
    let usual = signal::disposition(SIGCHLD);
    // A handler is that of a preload function, for all of the children.
    let kernel_reaps = usual != Disposition::Handled && keeps_statuses();
    if kernel_reaps {
        signal::ignore(SIGCHLD);
    }
    // What each child would have to do, once for all of them.
    let _ = mp_sys::stdio::null();
    let tie = lifeline::tie();
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
                if let Ok(id) = mp_ipc::decode(letter.message) {
                    known.learn(id);
                }
                match fork_ahead(!kernel_reaps) {
                    Ok(Ahead::Child(socket)) => {
                        drop((control, nursery));
                        signal::unblock_all();
                        if kernel_reaps && usual == Disposition::Default {
                            signal::restore(SIGCHLD);
                        }
                        wait_for_order(socket, tie, &known)
                    }
                    Ok(Ahead::Parent { pid, process, socket, status }) => {
                        let (reader, writer) = status.unzip();
                        let fds = [&process, &socket].into_iter().chain(&reader);
                        let fds: Vec<_> = fds.map(AsFd::as_fd).collect();
                        answer(requests, pid, &fds);
                        nursery.extend(writer.map(|status| Born { process, status }));
                    }
                    Err(errno) => answer(requests, -errno.raw_os_error(), &[]),
                }
            }
            Err(Errno::AGAIN | Errno::MFILE | Errno::PROTO) => {}
            Ok(None) | Err(_) => control = None,
        }
    }
    pidfd::outlive_children();
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

/// Whether the kernel keeps the status of a process that has been reaped: seen by one.
fn keeps_statuses() -> bool {
    match fork_single() {
        Ok(Fork::Child) => exit_now(0),
        Ok(Fork::Parent(pid)) => {
            let Ok(process) = pidfd::open(pid) else { return false };
            let _ = wait_for(process.as_fd(), Interest::Readable, None);
            let _ = pidfd::try_reap(&process);
            pidfd::kept_status(&process).is_some()
        }
        Err(_) => false,
    }
}

/// What [`fork_ahead`] has come to, in either process.
enum Ahead {
    Child(OwnedFd),
    Parent {
        pid: i32,
        process: OwnedFd,
        socket: OwnedFd,
        /// Both ends of the pipe for the status, if that is the server's to tell.
        status: Option<(OwnedFd, OwnedFd)>,
    },
}

fn fork_ahead(tell_status: bool) -> Result<Ahead, Errno> {
    let errno = |error| if let Error::Os { errno, .. } = error { errno } else { Errno::IO };
    loop {
        let (ours, theirs) = start::packet_pair().map_err(errno)?;
        let status = if tell_status { Some(start::pipe().map_err(errno)?) } else { None };
        let Fork::Parent(pid) = fork_single()? else { return Ok(Ahead::Child(theirs)) };
        match pidfd::open(pid) {
            Ok(process) if pidfd::try_reap(&process) == Ok(None) => {
                let status = status.map(|(reader, writer)| (reader.into(), writer));
                return Ok(Ahead::Parent { pid, process, socket: ours, status });
            }
            // Somebody has killed it in this moment, and the number may be another's: once more.
            Ok(_) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Hands over a child, or says why there is none.
fn answer(requests: &OwnedFd, number: i32, fds: &[std::os::fd::BorrowedFd<'_>]) {
    let answer = || post::send(requests.as_fd(), Kind::Born, &[&number.to_le_bytes()], fds);
    // There is one answer for each request: it is full only while nobody takes them.
    while answer() == Err(Errno::AGAIN)
        && wait_for(requests.as_fd(), Interest::Writable, None).is_ok()
    {}
}

/// The life of a child until it has its order.
fn wait_for_order(socket: OwnedFd, tie: Option<OwnedFd>, known: &Known) -> ! {
    child::forget_socket();
    let fds = [&socket].into_iter().chain(&tie);
    let fds: Vec<_> = fds.map(|fd| (fd.as_fd(), Interest::Readable)).collect();
    // The first write to a page costs a child a page fault, as does the first call in 64 KiB of
    // code. There is time for some of them here.
    let _ = std::io::stdout().flush();
    let order = child::take_order(socket.as_fd()).or_else(|| {
        // Whatever wakes it: what counts is whether there is an order.
        let _ = poll(&fds, None);
        child::take_order(socket.as_fd())
    });
    drop(tie);
    let task = order.as_ref().and_then(|(order, _)| known.find(&order.task));
    child::begin(socket, order, task)
}

fn report(born: Born) {
    match pidfd::try_reap(&born.process) {
        Ok(Some(pidfd::Status::Exited(code))) => write_status(born.status, EXITED, code),
        Ok(Some(pidfd::Status::Signaled(signal))) => write_status(born.status, SIGNALED, signal),
        // A preload function has made the kernel, or itself, reap the server's children.
        Ok(None) | Err(_) => write_status(born.status, UNKNOWN, 0),
    }
}
