//! What a worker does: copies the entries of a job, one after the other.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fstat, mkfifoat, openat, readlinkat, statat, symlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::contents::Contents;
use crate::draft::Draft;
use crate::job::{Entry, Job, Kind};
use crate::metadata;
use crate::report::{Fault, Trouble};
use crate::tree::{Pair, Roots, join};

/// How far a job is: what the progress bar is fed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// Copies the entries of `job`, and names those that could not be copied.
pub(crate) fn copy(
    roots: &Roots,
    job: &Job,
    buffer: &mut [u8],
    told: &mut dyn FnMut(Tally),
) -> (Tally, Vec<Trouble>) {
    let mut tally = Tally::default();
    let mut troubles = Vec::new();
    for group in &job.groups {
        let opened = Pair::open(roots, &group.folder);
        for entry in &group.entries {
            let before = tally;
            let done = opened.as_ref().map_err(|&fault| fault).and_then(|pair| {
                let mut moved = |bytes| {
                    tally.bytes += bytes;
                    told(tally);
                };
                one(pair, entry, job, buffer, &mut moved)
            });
            match done {
                Ok(()) => tally.files += 1,
                Err(fault) => {
                    tally = before;
                    let path = roots.source(&join(&group.folder, &entry.name));
                    troubles.push(Trouble::new(path, fault));
                }
            }
            told(tally);
        }
    }
    (tally, troubles)
}

fn one(
    pair: &Pair,
    entry: &Entry,
    job: &Job,
    buffer: &mut [u8],
    moved: &mut dyn FnMut(u64),
) -> Result<(), Fault> {
    let name = entry.name.as_os_str();
    match entry.kind {
        Kind::File => {
            if job.again
                && let Ok(stat) = statat(&pair.to, name, AtFlags::SYMLINK_NOFOLLOW)
            {
                moved(stat.st_size as u64);
                return Ok(());
            }
            file(pair, name, job.id, buffer, moved)
        }
        Kind::Link => {
            let target = readlinkat(&pair.from, name, Vec::new()).map_err(Fault::Read)?;
            make(pair, name, job, |to| symlinkat(&target, to, name))
        }
        Kind::Fifo => make(pair, name, job, |to| mkfifoat(to, name, Mode::RUSR | Mode::WUSR)),
    }
}

fn file(
    pair: &Pair,
    name: &OsStr,
    job: u64,
    buffer: &mut [u8],
    moved: &mut dyn FnMut(u64),
) -> Result<(), Fault> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let from = openat(&pair.from, name, flags, Mode::empty()).map_err(Fault::Read)?;
    let stat = fstat(&from).map_err(Fault::Read)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Fault::Read(Errno::NOENT));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    let draft = Draft::create(&pair.to, mode, job).map_err(Fault::Write)?;
    let filled =
        Contents { from: from.as_fd(), to: draft.as_fd(), buffer, moved }.whole(&stat).and_then(
            |()| metadata::apply(Some(from.as_fd()), &stat, draft.as_fd()).map_err(Fault::Write),
        );
    if filled.is_err() {
        draft.discard(&pair.to);
    }
    filled?;
    draft.publish(&pair.to, name).map_err(Fault::Write)
}

/// Makes an entry that has no contents, and gives it the original's owner, mode and times.
fn make(
    pair: &Pair,
    name: &OsStr,
    job: &Job,
    make: impl FnOnce(&OwnedFd) -> Result<(), Errno>,
) -> Result<(), Fault> {
    let stat = statat(&pair.from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(Fault::Read)?;
    match make(&pair.to) {
        // A killed predecessor made it, and may have got no further.
        Err(Errno::EXIST) if job.again => {}
        made => made.map_err(Fault::Write)?,
    }
    metadata::apply_at(&pair.to, name, &stat).map_err(Fault::Write)
}
