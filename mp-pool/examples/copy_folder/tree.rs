//! Where things lie: the two roots, and folders below them at any depth.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::report::Fault;

/// The folder that is copied, and the one it becomes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Roots {
    from: OsString,
    to: OsString,
}

/// A folder of the source, open beside its copy.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) from: OwnedFd,
    pub(crate) to: OwnedFd,
}

impl Roots {
    pub(crate) fn new(from: PathBuf, to: PathBuf) -> Roots {
        Roots { from: from.into(), to: to.into() }
    }

    /// The source path of `relative`, for messages.
    pub(crate) fn source(&self, relative: &OsStr) -> PathBuf {
        below(Path::new(&self.from), relative)
    }

    /// The path that `relative` is copied to.
    pub(crate) fn target(&self, relative: &OsStr) -> PathBuf {
        below(Path::new(&self.to), relative)
    }

    pub(crate) fn open_source(&self, folder: &OsStr) -> Result<OwnedFd, Errno> {
        open_folder(CWD, self.source(folder).as_os_str())
    }

    pub(crate) fn open_target(&self, folder: &OsStr) -> Result<OwnedFd, Errno> {
        open_folder(CWD, self.target(folder).as_os_str())
    }
}

impl Pair {
    pub(crate) fn open(roots: &Roots, folder: &OsStr) -> Result<Pair, Fault> {
        let from = roots.open_source(folder).map_err(Fault::Read)?;
        let to = roots.open_target(folder).map_err(Fault::Write)?;
        Ok(Pair { from, to })
    }
}

fn below(root: &Path, relative: &OsStr) -> PathBuf {
    if relative.is_empty() { root.to_owned() } else { root.join(relative) }
}

/// `folder/name`, or `name` where `folder` is the root.
pub(crate) fn join(folder: &OsStr, name: &OsStr) -> OsString {
    Path::new(folder).join(name).into()
}

/// The folder that a path lies in, and its name there.
pub(crate) fn split(path: &OsStr) -> (&OsStr, &OsStr) {
    let bytes = path.as_bytes();
    match bytes.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])),
        None => (OsStr::new(""), path),
    }
}

/// Opens a folder whose path may be longer than the kernel takes at once.
fn open_folder(base: impl AsFd, path: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&base, path, flags, Mode::empty()) {
        Err(Errno::NAMETOOLONG) => {
            let (head, tail) = halves(path).ok_or(Errno::NAMETOOLONG)?;
            open_folder(open_folder(base, head)?, tail)
        }
        opened => opened,
    }
}

/// Cuts a path at the slash next to its middle.
fn halves(path: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let bytes = path.as_bytes();
    let middle = bytes.len() / 2;
    let after = bytes[middle..].iter().position(|&byte| byte == b'/').map(|at| middle + at);
    let cut = after.or_else(|| bytes[..middle].iter().rposition(|&byte| byte == b'/'))?;
    (cut > 0).then(|| (OsStr::from_bytes(&bytes[..cut]), OsStr::from_bytes(&bytes[cut + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_at_a_slash() {
        let cut = |path| halves(OsStr::new(path)).map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(cut("ab/cd"), Some(("ab".into(), "cd".into())));
        assert_eq!(cut("abcdef/g"), Some(("abcdef".into(), "g".into())));
        assert_eq!(cut("/a/bcdefgh"), Some(("/a".into(), "bcdefgh".into())));
        assert_eq!(cut("abc"), None);
        assert_eq!(cut("/abc"), None);
    }

    #[test]
    fn a_folder_deeper_than_path_max_opens() {
        let root = std::env::temp_dir().join(format!("mp-copy-deep-{}", std::process::id()));
        std::fs::create_dir(&root).unwrap();
        let name = OsString::from("d".repeat(250));
        let mut relative = OsString::new();
        let mut folder = open_folder(CWD, root.as_os_str()).unwrap();
        for _ in 0..20 {
            rustix::fs::mkdirat(&folder, name.as_os_str(), Mode::RWXU).unwrap();
            folder = open_folder(&folder, &name).unwrap();
            relative = join(&relative, &name);
        }
        assert!(relative.len() > 4096);
        Roots::new(root.clone(), root.clone()).open_source(&relative).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }
}
