//! A file that has no name until it is whole.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

/// A file being written: nameless, so that nothing is left of it whoever is killed. Where the
/// file system has no nameless files it bears a name of ours, and is renamed when whole.
#[derive(Debug)]
pub(crate) struct Draft {
    file: OwnedFd,
    name: Option<String>,
}

/// The name that the draft of job `job` has where it needs one.
pub(crate) fn draft_name(job: u64) -> String {
    format!(".mp-copy-{job}")
}

impl Draft {
    /// Creates an empty file in `folder`, for job `job`.
    pub(crate) fn create(folder: &OwnedFd, mode: Mode, job: u64) -> Result<Draft, Errno> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match openat(folder, ".", flags | OFlags::TMPFILE, mode & Mode::from_raw_mode(0o777)) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                Draft::create_named(folder, job)
            }
            file => Ok(Draft { file: file?, name: None }),
        }
    }

    fn create_named(folder: &OwnedFd, job: u64) -> Result<Draft, Errno> {
        let name = draft_name(job);
        // A predecessor killed at this job may have left its draft.
        let _ = unlinkat(folder, &name, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
        let file = openat(folder, &name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Draft { file, name: Some(name) })
    }

    /// Gives the file its name; an entry that has the name already is an error.
    pub(crate) fn publish(self, folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
        let Some(draft) = &self.name else {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            return match linkat(CWD, own, folder, name, AtFlags::SYMLINK_FOLLOW) {
                // Without /proc; the kernel asks for a capability here.
                Err(Errno::NOENT) => linkat(&self.file, "", folder, name, AtFlags::EMPTY_PATH),
                linked => linked,
            };
        };
        let renamed = match renameat_with(folder, draft, folder, name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => renameat(folder, draft, folder, name),
            renamed => renamed,
        };
        renamed.inspect_err(|_| self.discard(folder))
    }

    /// Removes what was written.
    pub(crate) fn discard(&self, folder: &OwnedFd) {
        if let Some(name) = &self.name {
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
    }
}

impl AsFd for Draft {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_gets_its_name_when_it_is_whole_and_takes_nobody_elses() {
        let path = std::env::temp_dir().join(format!("mp-copy-draft-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let folder = OwnedFd::from(std::fs::File::open(&path).unwrap());
        type Create = fn(&OwnedFd, u64) -> Result<Draft, Errno>;
        let both: [Create; 2] =
            [|folder, job| Draft::create(folder, Mode::RWXU, job), Draft::create_named];
        for create in both {
            let draft = create(&folder, 1).unwrap();
            rustix::io::write(&draft, b"whole").unwrap();
            assert!(!path.join("name").exists());
            draft.publish(&folder, OsStr::new("name")).unwrap();
            assert_eq!(std::fs::read(path.join("name")).unwrap(), b"whole");

            let late = create(&folder, 1).unwrap();
            assert_eq!(late.publish(&folder, OsStr::new("name")), Err(Errno::EXIST));
            drop(create(&folder, 2).unwrap()); // Its worker is killed, and it is made again.
            create(&folder, 2).unwrap().discard(&folder);
            let names: Vec<_> = path.read_dir().unwrap().flatten().map(|e| e.file_name()).collect();
            assert_eq!(names, ["name"]);
            std::fs::remove_file(path.join("name")).unwrap();
        }
        std::fs::remove_dir(&path).unwrap();
    }
}
