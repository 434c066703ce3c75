//! How a process ended.

use std::fmt;

use mp_sys::pidfd::Status;
use serde::{Deserialize, Serialize};

/// How a process ended. It does not change once it is known.
///
/// Python: `Process.exitcode` is [`ExitStatus::number`].
///
/// # Examples
///
/// ```
/// use mp_process::ExitStatus;
///
/// assert_eq!(ExitStatus::Exited(3).number(), Some(3));
/// assert_eq!(ExitStatus::Signaled(9).number(), Some(-9));
/// assert_eq!(ExitStatus::Unknown.number(), None);
/// assert_eq!(ExitStatus::Signaled(11).to_string(), "ended by signal 11 (SIGSEGV)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It ended by itself, with this code (0 to 255).
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It has ended, and the status was lost: the program ignores `SIGCHLD`, or waits for any
    /// child somewhere, or the fork server was killed. A kernel since Linux 6.15 keeps the status,
    /// so that it is not lost there.
    Unknown,
}

impl ExitStatus {
    /// Whether the code was 0.
    pub fn success(self) -> bool {
        self == ExitStatus::Exited(0)
    }

    /// The code, if it ended by itself.
    pub fn code(self) -> Option<i32> {
        match self {
            ExitStatus::Exited(code) => Some(code),
            ExitStatus::Signaled(_) | ExitStatus::Unknown => None,
        }
    }

    /// The signal that ended it, if one did.
    pub fn signal(self) -> Option<i32> {
        match self {
            ExitStatus::Signaled(signal) => Some(signal),
            ExitStatus::Exited(_) | ExitStatus::Unknown => None,
        }
    }

    /// Python's number: the code, or the signal as a negative number. `None` if unknown.
    pub fn number(self) -> Option<i32> {
        self.code().or(self.signal().map(|signal| -signal))
    }
}

impl From<Status> for ExitStatus {
    fn from(status: Status) -> ExitStatus {
        match status {
            Status::Exited(code) => ExitStatus::Exited(code),
            Status::Signaled(signal) => ExitStatus::Signaled(signal),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ExitStatus::Exited(code) => write!(f, "exit status {code}"),
            ExitStatus::Signaled(signal) => match name(signal) {
                Some(name) => write!(f, "ended by signal {signal} ({name})"),
                None => write!(f, "ended by signal {signal}"),
            },
            ExitStatus::Unknown => f.write_str("exit status unknown"),
        }
    }
}

/// The names of the signals that end processes; their numbers are those of x86 and Arm.
fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}
