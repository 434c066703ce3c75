//! A large file, copied in pieces by several workers at once.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use mp_ipc::Fd;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, ftruncate, openat};
use rustix::io::Errno;

use crate::draft::Draft;
use crate::metadata;
use crate::report::Fault;
use crate::tree::{Pair, Roots, split};

const PIECE: u64 = 64 << 20;

/// A large file under way: its pieces go to one nameless file, which gets its name with the last.
pub(crate) struct Large {
    path: OsString,
    from: OwnedFd,
    stat: Stat,
    draft: Draft,
    /// How many pieces are not done.
    left: usize,
    torn: bool,
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
        let mut large = Large { path, from, stat, draft, left: 0, torn: false };
        large.left = large.ranges().count();
        Ok(large)
    }

    pub(crate) fn path(&self) -> &OsStr {
        &self.path
    }

    /// Whether a piece could not be copied.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    /// The pieces.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let size = self.stat.st_size as u64;
        let count = size.div_ceil(PIECE).max(1);
        (0..count).map(move |n| n * PIECE..size.min((n + 1) * PIECE))
    }

    /// Descriptors of source and draft, for a worker.
    pub(crate) fn share(&self) -> Result<(Fd, Fd), Fault> {
        let share = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map(Fd);
        let fault = |_| Fault::Read(Errno::MFILE);
        Ok((share(&self.from).map_err(fault)?, share(&self.draft).map_err(fault)?))
    }

    /// A piece is copied, or never will be; whether it was the last.
    pub(crate) fn landed(&mut self, failed: bool) -> bool {
        self.torn |= failed;
        self.left -= 1;
        self.left == 0
    }

    /// Gives the whole file its name, and a torn one none: which it was.
    pub(crate) fn finish(self, roots: &Roots) -> Result<bool, Fault> {
        let (folder, name) = split(&self.path);
        let folder = roots.open_target(folder).map_err(Fault::Write)?;
        let applied = match self.torn {
            true => Ok(false),
            false => metadata::apply(Some(self.from.as_fd()), &self.stat, self.draft.as_fd())
                .map(|()| true)
                .map_err(Fault::Write),
        };
        if applied != Ok(true) {
            self.draft.discard(&folder);
            return applied;
        }
        self.draft.publish(&folder, name).map_err(Fault::Write)?;
        Ok(true)
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
        f.debug_struct("Large").field("path", &self.path).field("left", &self.left).finish()
    }
}
