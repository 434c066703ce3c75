//! Owner, extended attributes, mode and times, from one entry to another.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fgetxattr, flistxattr, flistxattr_query, fsetxattr, fstat, futimens, utimensat,
};
use rustix::io::Errno;

const PERMISSIONS: u32 = 0o7777;
/// Set-user-ID and set-group-ID: they mean something only under the owner they were given.
const RUN_AS: u32 = 0o6000;

/// Makes the open `to` look like the entry whose state was `stat`, and which is open as `from`
/// where it could be opened.
///
/// The order matters: a new owner clears the run-as bits, and all but the last step touch times.
pub(crate) fn apply(
    from: Option<BorrowedFd<'_>>,
    stat: &Stat,
    to: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let made = fstat(to)?;
    let mut mode = stat.st_mode & PERMISSIONS;
    if (made.st_uid, made.st_gid) != (stat.st_uid, stat.st_gid) {
        let (owner, group) = owner(stat);
        if fchown(to, owner, group).is_err() {
            // As cp -a: only root gives files away; the group is kept where it may be.
            let _ = fchown(to, None, group);
            mode &= !RUN_AS;
        }
    }
    if let Some(from) = from {
        let _ = extended(from, to);
    }
    if made.st_mode & PERMISSIONS != mode || mode & RUN_AS != 0 {
        fchmod(to, Mode::from_raw_mode(mode))?;
    }
    futimens(to, &times(stat))
}

/// As [`apply`], for an entry that cannot be opened: a link or a fifo.
pub(crate) fn apply_at(folder: &OwnedFd, name: &OsStr, stat: &Stat) -> Result<(), Errno> {
    let (owner, group) = owner(stat);
    let _ = chownat(folder, name, owner, group, AtFlags::SYMLINK_NOFOLLOW);
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        let mode = Mode::from_raw_mode(stat.st_mode & PERMISSIONS & !RUN_AS);
        chmodat(folder, name, mode, AtFlags::empty())?;
    }
    utimensat(folder, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn times(stat: &Stat) -> Timestamps {
    let at = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps {
        last_access: at(stat.st_atime as _, stat.st_atime_nsec as _),
        last_modification: at(stat.st_mtime as _, stat.st_mtime_nsec as _),
    }
}

/// Copies the extended attributes that may be copied: access lists, labels, user attributes.
fn extended(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let room = flistxattr_query(from)?;
    if room == 0 {
        return Ok(());
    }
    let mut names = vec![0; room];
    let used = flistxattr(from, &mut names[..])?;
    let mut value = vec![0; 64 << 10];
    for name in names[..used].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if let Ok(len) = fgetxattr(from, name, &mut value[..]) {
            let _ = fsetxattr(to, name, &value[..len], XattrFlags::empty());
        }
    }
    Ok(())
}
