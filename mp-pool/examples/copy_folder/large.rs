//! A large file: an order of its own, whose progress shows.
//!
//! One worker copies it. The kernel lets one writer at a time into a file, so several workers at
//! one file are slower than one.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

use mp_ipc::Fd;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, ftruncate, openat};
use rustix::io::Errno;

use crate::draft::Draft;
use crate::metadata;
use crate::report::Fault;
use crate::tree::{Pair, Roots, split};

/// A large file under way: a nameless file, which gets its name when it is whole.
pub(crate) struct Large {
    path: OsString,
    from: OwnedFd,
    stat: Stat,
    draft: Draft,
}

impl Large {
    /// Opens the source at `path`, and a draft of its size.
    pub(crate) fn open(roots: &Roots, path: OsString, id: u64) -> Result<Large, Fault> {
        let (folder, name) = split(&path);
        let pair = Pair::open(roots, folder)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from = openat(&pair.from, name, flags, Mode::empty()).map_err(Fault::Read)?;
        let stat = fstat(&from).map_err(Fault::Read)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Fault::Read(Errno::NOENT));
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        let draft = Draft::create(&pair.to, mode, id).map_err(Fault::Write)?;
        if let Err(errno) = ftruncate(&draft, stat.st_size as u64) {
            draft.discard(&pair.to);
            return Err(Fault::Write(errno));
        }
        Ok(Large { path, from, stat, draft })
    }

    pub(crate) fn path(&self) -> &OsStr {
        &self.path
    }

    pub(crate) fn size(&self) -> u64 {
        self.stat.st_size as u64
    }

    /// Descriptors of source and draft, for a worker.
    pub(crate) fn share(&self) -> Result<(Fd, Fd), Fault> {
        let share = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map(Fd);
        let fault = |_| Fault::Read(Errno::MFILE);
        Ok((share(&self.from).map_err(fault)?, share(&self.draft).map_err(fault)?))
    }

    /// Gives the file its name: it is whole.
    pub(crate) fn finish(self, roots: &Roots) -> Result<(), Fault> {
        let (folder, name) = split(&self.path);
        let folder = roots.open_target(folder).map_err(Fault::Write)?;
        if let Err(errno) = metadata::apply(Some(self.from.as_fd()), &self.stat, self.draft.as_fd())
        {
            self.draft.discard(&folder);
            return Err(Fault::Write(errno));
        }
        self.draft.publish(&folder, name).map_err(Fault::Write)
    }

    /// Takes away what was written.
    pub(crate) fn discard(self, roots: &Roots) {
        if let Ok(folder) = roots.open_target(split(&self.path).0) {
            self.draft.discard(&folder);
        }
    }
}

impl fmt::Debug for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Large").field("path", &self.path).finish_non_exhaustive()
    }
}
