//! A child as its parent sees it: one pidfd, one status, whoever asks.

use std::io::PipeReader;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mp_ipc::Message;
use mp_sys::lifeline::Lifeline;
use mp_sys::poll::{Interest, wait_for};
use mp_sys::{Deadline, Errno, pidfd};

use crate::ExitStatus;
use crate::error::{Error, TaskError};
use crate::order::Refusal;
use crate::post::{self, Kind};
use crate::server::{self, Said};

/// How long the status of a process that has ended may take to reach us before it counts as
/// lost: somebody else (`init`, a foreign wait, the kernel) is reaping it in this moment.
const LATE: Duration = Duration::from_millis(100);

/// What the child handed over.
#[derive(Debug)]
pub(crate) enum Outcome {
    Value(Message),
    Failure(TaskError),
    Refusal(Refusal),
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) pid: i32,
    pub(crate) name: String,
    pub(crate) daemon: bool,
    process: OwnedFd,
    socket: OwnedFd,
    reaper: Reaper,
    end: Mutex<End>,
    outcome: Mutex<Option<Outcome>>,
}

#[derive(Debug)]
struct End {
    status: Option<ExitStatus>,
    /// Whether the server has died without a word about this child.
    server_gone: bool,
    /// Let go when the process has ended.
    lifeline: Option<Lifeline>,
}

/// Who takes the status from the kernel once the process has ended.
#[derive(Debug)]
pub(crate) enum Reaper {
    We,
    /// The kernel itself: the process is the fork server's, and its pidfd keeps the status.
    Kernel,
    /// The fork server, which writes the status into this.
    Server(PipeReader),
}

/// What a start has made.
#[derive(Debug)]
pub(crate) struct Newborn {
    pub(crate) pid: i32,
    pub(crate) process: OwnedFd,
    pub(crate) socket: OwnedFd,
    pub(crate) reaper: Reaper,
    pub(crate) lifeline: Option<Lifeline>,
}

impl Watch {
    pub(crate) fn new(newborn: Newborn, name: String, daemon: bool) -> Watch {
        let Newborn { pid, process, socket, reaper, lifeline } = newborn;
        Watch {
            pid,
            name,
            daemon,
            process,
            socket,
            reaper,
            end: Mutex::new(End { status: None, server_gone: false, lifeline }),
            outcome: Mutex::new(None),
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The status, if the process has ended. Whoever learns it first notes it for the others.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        let mut end = self.end();
        if end.status.is_none() {
            end.status = self.ask(&mut end.server_gone);
            if end.status.is_some() {
                end.lifeline = None;
            }
        }
        end.status
    }

    fn ask(&self, server_gone: &mut bool) -> Option<ExitStatus> {
        match &self.reaper {
            Reaper::We => match pidfd::try_reap(&self.process) {
                Ok(Some(status)) => return Some(status.into()),
                Ok(None) => return None,
                // ECHILD: somebody else takes the status, or has taken it.
                Err(_) => {}
            },
            Reaper::Kernel => {
                if let Some(status) = pidfd::kept_status(&self.process) {
                    return Some(status.into());
                }
            }
            Reaper::Server(pipe) if !*server_gone => {
                let mut said = server::read_status(pipe, Some(Deadline::now()));
                if said == Said::Nothing && self.has_ended() {
                    // Its server says so in a moment, or is dead.
                    said = server::read_status(pipe, Some(Deadline::after(LATE)));
                }
                match said {
                    Said::Nothing => return None,
                    Said::Status(status) => return Some(status),
                    Said::Gone => *server_gone = true,
                }
            }
            Reaper::Server(_) => {}
        }
        self.has_ended().then(|| self.kept_status())
    }

    fn has_ended(&self) -> bool {
        // An error of poll(2) is want of memory; the caller asks again.
        wait_for(self.process(), Interest::Readable, Some(Deadline::now())).unwrap_or(false)
    }

    /// The status that the kernel keeps with the pidfd after the process has been reaped.
    #[cold]
    fn kept_status(&self) -> ExitStatus {
        let late = Deadline::after(LATE);
        loop {
            if let Some(status) = pidfd::kept_status(&self.process) {
                return status.into();
            }
            if late.has_passed() {
                return ExitStatus::Unknown;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Waits for the end, until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Option<Deadline>) -> Option<ExitStatus> {
        loop {
            let server_gone = match &*self.end() {
                End { status: Some(status), .. } => return Some(*status),
                end => end.server_gone,
            };
            let announced = match &self.reaper {
                Reaper::Server(pipe) if !server_gone => pipe.as_fd(),
                _ => self.process(),
            };
            // Either is ready for good once the process has ended, so no wake is lost.
            match wait_for(announced, Interest::Readable, deadline) {
                Ok(true) => {
                    if let Some(status) = self.status() {
                        return Some(status);
                    }
                }
                Ok(false) => return self.status(),
                // Want of memory: the clock still runs.
                Err(_) if deadline.is_some_and(Deadline::has_passed) => return self.status(),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Sends `signal`, unless the process has ended.
    pub(crate) fn signal(&self, signal: i32) -> Result<(), Error> {
        match pidfd::signal(&self.process, signal) {
            // It has ended: nothing to do, as in Python.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(Error::Os { op: "pidfd_send_signal", errno }),
        }
    }

    /// Shows what the child handed over to `look`. Only once it has ended.
    pub(crate) fn outcome<R>(&self, look: impl FnOnce(&Outcome) -> R) -> R {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        look(outcome.get_or_insert_with(|| read_outcome(self.socket())))
    }
}

/// Reads the child's letters, the last of which tells how the call went.
fn read_outcome(socket: BorrowedFd<'_>) -> Outcome {
    loop {
        let Ok(Some(letter)) = post::try_recv(socket) else { return Outcome::Nothing };
        match letter.kind {
            Kind::Value => return Outcome::Value(letter.message),
            Kind::Failure => {
                return mp_ipc::decode(letter.message).map_or(Outcome::Nothing, Outcome::Failure);
            }
            Kind::Refusal => {
                return mp_ipc::decode(letter.message).map_or(Outcome::Nothing, Outcome::Refusal);
            }
            Kind::Hello | Kind::Order | Kind::Fork | Kind::Born | Kind::Follower => {}
        }
    }
}
