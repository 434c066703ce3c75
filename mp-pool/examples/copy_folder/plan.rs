//! Walks the tree: makes the folders, and cuts everything in them into jobs.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat, fstat, linkat, mkdirat, statat};
use rustix::io::Errno;

use crate::job::{Entry, Group, Job, Kind};
use crate::metadata;
use crate::report::{Fault, Trouble};
use crate::tree::{Pair, Roots, join, split};

/// A job is full with this many entries, or this many bytes.
const ENTRIES: usize = 64;
const BYTES: u64 = 8 << 20;
/// A file of at least this size is an order of its own.
pub(crate) const LARGE: u64 = 128 << 20;

/// What the walk hands on, as it goes.
#[derive(Debug)]
pub(crate) enum Step {
    Job(Job),
    /// A file to be copied alone.
    Large(OsString),
    Trouble(Trouble),
}

/// What the walk has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) files: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) complete: AtomicBool,
    /// Nobody waits for the rest of the walk.
    pub(crate) given_up: AtomicBool,
}

/// What is left to do when all files are copied.
#[derive(Default)]
pub(crate) struct Rest {
    /// The folders, each after the one it lies in.
    folders: Vec<(OsString, Stat)>,
    /// Further names of files: the name that was copied, and the other one.
    links: Vec<(OsString, OsString)>,
}

struct Walk<'a> {
    roots: &'a Roots,
    totals: &'a Totals,
    steps: Sender<Step>,
    rest: Rest,
    names: HashMap<(u64, u64), OsString>,
    job: Job,
    entries: usize,
    bytes: u64,
}

/// Walks the source and makes its folders at the destination, whose root exists.
///
/// # Errors
///
/// The root cannot be read.
pub(crate) fn walk(roots: &Roots, totals: &Totals, steps: Sender<Step>) -> Result<Rest, Trouble> {
    let root = roots
        .open_source(OsStr::new(""))
        .and_then(fstat)
        .map_err(|errno| Trouble::new(roots.source(OsStr::new("")), Fault::Read(errno)))?;
    let rest = Rest { folders: vec![(OsString::new(), root)], links: Vec::new() };
    let (names, job) = (HashMap::new(), Job::default());
    let mut walk = Walk { roots, totals, steps, rest, names, job, entries: 0, bytes: 0 };
    let mut folders = vec![OsString::new()];
    while let Some(folder) = folders.pop()
        && !totals.given_up.load(Relaxed)
    {
        if let Err(fault) = walk.folder(&folder, &mut folders) {
            walk.trouble(&folder, fault);
        }
    }
    walk.cut();
    totals.complete.store(true, Relaxed);
    Ok(walk.rest)
}

impl Walk<'_> {
    fn folder(&mut self, folder: &OsStr, more: &mut Vec<OsString>) -> Result<(), Fault> {
        let pair = Pair::open(self.roots, folder)?;
        let mut group = Group { folder: folder.to_owned(), entries: Vec::new() };
        let listing = pair.from.try_clone().map_err(|_| Fault::Read(Errno::MFILE))?;
        for entry in Dir::new(listing).map_err(Fault::Read)? {
            let entry = entry.map_err(Fault::Read)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            match self.entry(&pair, folder, name, more) {
                Ok(Some(kind)) => group.entries.push(Entry { name: name.to_owned(), kind }),
                Ok(None) => {}
                Err(fault) => self.trouble(&join(folder, name), fault),
            }
            if self.entries + group.entries.len() >= ENTRIES || self.bytes >= BYTES {
                self.take(&mut group);
                self.cut();
            }
        }
        self.take(&mut group);
        Ok(())
    }

    /// Looks at one entry; what a job shall copy is given back.
    fn entry(
        &mut self,
        pair: &Pair,
        folder: &OsStr,
        name: &OsStr,
        more: &mut Vec<OsString>,
    ) -> Result<Option<Kind>, Fault> {
        let stat = statat(&pair.from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(Fault::Read)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                mkdirat(&pair.to, name, Mode::RWXU).map_err(Fault::Write)?;
                let path = join(folder, name);
                more.push(path.clone());
                self.rest.folders.push((path, stat));
                return Ok(None);
            }
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            FileType::Fifo => Kind::Fifo,
            _ => {
                let path = self.roots.source(&join(folder, name));
                let what = "not copied: a socket or device";
                let _ = self.steps.send(Step::Trouble(Trouble::new(path, what)));
                return Ok(None);
            }
        };
        self.totals.files.fetch_add(1, Relaxed);
        if stat.st_nlink > 1 {
            let path = join(folder, name);
            if let Some(first) = self.names.get(&(stat.st_dev, stat.st_ino)) {
                self.rest.links.push((first.clone(), path));
                return Ok(None);
            }
            self.names.insert((stat.st_dev, stat.st_ino), path);
        }
        if kind == Kind::File {
            let size = stat.st_size as u64;
            self.totals.bytes.fetch_add(size, Relaxed);
            if size >= LARGE {
                let _ = self.steps.send(Step::Large(join(folder, name)));
                return Ok(None);
            }
            self.bytes += size;
        }
        Ok(Some(kind))
    }

    /// Moves what `group` holds into the job under way.
    fn take(&mut self, group: &mut Group) {
        if !group.entries.is_empty() {
            self.entries += group.entries.len();
            let entries = std::mem::take(&mut group.entries);
            self.job.groups.push(Group { folder: group.folder.clone(), entries });
        }
    }

    /// Sends the job under way off.
    fn cut(&mut self) {
        if self.entries > 0 {
            // Where nobody takes it, the copy was given up.
            let _ = self.steps.send(Step::Job(std::mem::take(&mut self.job)));
        }
        (self.entries, self.bytes) = (0, 0);
    }

    fn trouble(&self, relative: &OsStr, fault: Fault) {
        let trouble = Trouble::new(self.roots.source(relative), fault);
        let _ = self.steps.send(Step::Trouble(trouble));
    }
}

impl Rest {
    /// Makes the hard links, then gives each folder its mode and times; how many links came to be.
    pub(crate) fn finish(&self, roots: &Roots, mut trouble: impl FnMut(Trouble)) -> u64 {
        let mut made = 0;
        for (first, other) in &self.links {
            match link(roots, first, other) {
                Ok(()) => made += 1,
                Err(errno) => {
                    let first = roots.source(first).display().to_string();
                    let what = format!("not copied: cannot be linked to {first}: {errno}");
                    trouble(Trouble::new(roots.source(other), what));
                }
            }
        }
        for (folder, stat) in self.folders.iter().rev() {
            let from = roots.open_source(folder).ok();
            let done = roots
                .open_target(folder)
                .and_then(|to| metadata::apply(from.as_ref().map(AsFd::as_fd), stat, to.as_fd()));
            if let Err(errno) = done {
                let what = format!("its mode and times are not set: {errno}");
                trouble(Trouble::new(roots.target(folder), what));
            }
        }
        made
    }
}

fn link(roots: &Roots, first: &OsStr, other: &OsStr) -> Result<(), Errno> {
    let ((here, first), (there, other)) = (split(first), split(other));
    linkat(roots.open_target(here)?, first, roots.open_target(there)?, other, AtFlags::empty())
}
