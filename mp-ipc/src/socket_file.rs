//! The file of a unix listener, which goes with its creator.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid};

use crate::Error;

/// Removes the socket file when dropped, also while unwinding, but only in the process that
/// made it: a forked copy leaves it alone.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    folder: Option<PathBuf>,
    creator: Pid,
}

impl SocketFile {
    pub(crate) fn at(path: &Path) -> SocketFile {
        SocketFile { path: path.to_owned(), folder: None, creator: getpid() }
    }

    /// A place in a fresh folder that only this user can enter.
    pub(crate) fn private() -> Result<SocketFile, Error> {
        let random = mp_sys::random::bytes().map_err(Error::os("getrandom"))?;
        let name = format!("mp-{:016x}", u64::from_ne_bytes(random));
        let mut folder = std::env::temp_dir().join(&name);
        if folder.as_os_str().len() > 90 {
            folder = Path::new("/tmp").join(&name);
        }
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| Error::Os {
            op: "mkdir",
            errno: mp_sys::Errno::from_io_error(&error).unwrap_or(mp_sys::Errno::IO),
        })?;
        Ok(SocketFile { path: folder.join("socket"), folder: Some(folder), creator: getpid() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if getpid() != self.creator {
            return;
        }
        // Somebody may have removed them before; then there is nothing to do.
        let _ = fs::remove_file(&self.path);
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(folder);
        }
    }
}
