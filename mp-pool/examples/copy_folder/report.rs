//! What went wrong, said so that a person can act on it.

use std::ffi::OsString;
use std::fmt;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use indicatif::{HumanBytes, HumanCount, ProgressBar};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::copy::Tally;

/// Why one entry could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The source would not be read.
    Read(Errno),
    /// The copy would not be written.
    Write(Errno),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Read(Errno::NOENT) => out.write_str("not copied: it vanished meanwhile"),
            Fault::Read(Errno::ACCESS | Errno::PERM) => {
                out.write_str("not copied: no permission to read it")
            }
            Fault::Read(errno) => write!(out, "not copied: cannot be read: {errno}"),
            Fault::Write(Errno::NOSPC) => out.write_str("not copied: the destination is full"),
            Fault::Write(Errno::DQUOT) => out.write_str("not copied: the quota is used up"),
            Fault::Write(Errno::EXIST) => {
                out.write_str("not copied: the destination has an entry of that name")
            }
            Fault::Write(errno) => write!(out, "not copied: cannot be written: {errno}"),
        }
    }
}

/// A path, and what happened to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trouble {
    path: OsString,
    what: String,
}

impl Trouble {
    pub(crate) fn new(path: PathBuf, what: impl fmt::Display) -> Trouble {
        Trouble { path: path.into(), what: what.to_string() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", Path::new(&self.path).display(), self.what)
    }
}

/// Says what goes wrong while the bar is shown, and in the end what was done.
#[derive(Debug)]
pub(crate) struct Report {
    bar: Option<ProgressBar>,
    start: Instant,
    troubles: u64,
}

impl Report {
    pub(crate) fn new(bar: Option<ProgressBar>) -> Report {
        Report { bar, start: Instant::now(), troubles: 0 }
    }

    /// Names what was not copied.
    pub(crate) fn troubles(&mut self, troubles: impl IntoIterator<Item = Trouble>) {
        for trouble in troubles {
            self.troubles += 1;
            self.note(trouble);
        }
    }

    /// Says something that is no failure yet.
    pub(crate) fn note(&self, what: impl fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| complain(what)),
            None => complain(what),
        }
    }

    /// The last words, and what the program exits with.
    pub(crate) fn end(self, tally: &Tally, signal: Option<i32>) -> ExitCode {
        let (files, bytes) = (HumanCount(tally.files), HumanBytes(tally.bytes));
        let took = self.start.elapsed().as_secs_f64();
        let _ = writeln!(stdout(), "copied {files} files, {bytes}, in {took:.2} s");
        if let Some(signal) = signal {
            complain(format_args!("ended by signal {signal}: the copy is not complete"));
            return ExitCode::from(128_u8.saturating_add(signal as u8));
        }
        if self.troubles > 0 {
            complain(format_args!("{} entries are named above", HumanCount(self.troubles)));
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

/// A line on stderr, under the program's name.
pub(crate) fn complain(what: impl fmt::Display) {
    let _ = writeln!(stderr(), "copy_folder: {what}");
}
