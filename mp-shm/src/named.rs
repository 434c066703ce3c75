//! Files in `/dev/shm`, each there for as long as the process that made it.
//!
//! A segment is made without a name, locked, reserved and filled, and only then linked: whoever
//! finds the name finds it whole, and a process that is killed on the way leaves nothing. Its
//! creator holds the lock of byte [`LIFE`] for as long as it lives; nobody takes that lock ever
//! again. So a name without it is a dead one, for certain, and the next who looks removes it.
//! Removing is done under the lock of byte [`SWEEP`], or by the creator: so a name is never
//! removed that has been given to another segment meanwhile.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use mp_sys::memfd::identity;
use mp_sys::{Deadline, Errno, memory, ofd_lock, random};
use rustix::fs::{self, AtFlags, CWD, Dir, FallocateFlags, Mode, OFlags};
use rustix::process::geteuid;

use crate::header::{Header, PAYLOAD};
use crate::region::check_reserved;
use crate::{Error, Kind, Region};

/// Where the names are. Without it there are none; anonymous memory does not need it.
const FOLDER: &CStr = c"/dev/shm";

/// What the names of our files begin with.
const PREFIX: &str = "mp.";

/// The longest name: `NAME_MAX` without the prefix.
pub(crate) const NAME_MAX: usize = 255 - PREFIX.len();

const LIFE: u32 = 0;
const SWEEP: u32 = 1;

/// How long to wait for another process that is removing the same dead name.
const PATIENCE: Duration = Duration::from_secs(1);

/// A name that a file may have.
pub(crate) struct Name {
    file: CString,
}

impl Name {
    pub(crate) fn new(name: &str) -> Result<Name, Error> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(Error::NameLength { len: name.len(), max: NAME_MAX });
        }
        if let Some(at) = name.bytes().position(|byte| byte == b'/' || byte == 0) {
            return Err(Error::NameByte { at, byte: name.as_bytes()[at] });
        }
        let file = CString::new(format!("{PREFIX}{name}"));
        Ok(Name { file: file.map_err(|nul| Error::NameByte { at: nul.nul_position(), byte: 0 })? })
    }

    pub(crate) fn random() -> Result<Name, Error> {
        let number = u64::from_ne_bytes(random::bytes().map_err(Error::os("naming memory"))?);
        Name::new(&format!("{number:016x}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.file.to_str().ok().and_then(|file| file.strip_prefix(PREFIX)).unwrap_or_default()
    }
}

/// Makes a segment and gives it `name`.
pub(crate) fn create(name: &Name, kind: Kind, len: usize, element: u64) -> Result<Region, Error> {
    let making = "creating named shared memory";
    let folder = folder()?;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = fs::openat(&folder, c".", flags, Mode::RUSR | Mode::WUSR);
    let file = file.map_err(Error::os(making))?;
    let total = len.saturating_add(PAYLOAD) as u64;
    reserve(&file, total)?;
    // Nobody else has the file yet.
    ofd_lock::try_lock(&file, LIFE).map_err(Error::os(making))?;
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    let region = Region::adopt(file, len)?;
    region.header().fill(kind, len, element);
    loop {
        match fs::linkat(CWD, &source, &folder, &name.file, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => return Ok(region),
            Err(Errno::EXIST) => match find(&folder, name) {
                // It was dead, or went meanwhile: the name is free.
                Err(Error::NotFound) => {}
                _ => return Err(Error::Exists),
            },
            Err(errno) => return Err(Error::Os { op: making, errno }),
        }
    }
}

fn reserve(file: &OwnedFd, total: u64) -> Result<(), Error> {
    let room = |free| Error::NoRoom { needed: total, free };
    memory::check(total).map_err(|_| room(memory::available()))?;
    match rustix::io::retry_on_intr(|| fs::fallocate(file, FallocateFlags::empty(), 0, total)) {
        Ok(()) => Ok(()),
        Err(Errno::NOSPC | Errno::FBIG | Errno::INVAL | Errno::NOMEM) => {
            let free = fs::fstatvfs(file).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
            Err(room(free))
        }
        Err(errno) => Err(Error::Os { op: "reserving named shared memory", errno }),
    }
}

/// Attaches the segment called `name`, if its creator lives.
pub(crate) fn attach(name: &Name, kind: Kind, element: u64) -> Result<Region, Error> {
    find(&folder()?, name)?.expect(kind, element)
}

/// Any segment called `name`. A dead one is removed, and is [`Error::NotFound`].
fn find(folder: &OwnedFd, name: &Name) -> Result<Region, Error> {
    let looking = "opening named shared memory";
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match fs::openat(folder, &name.file, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Err(Error::NotFound),
        Err(errno) => return Err(Error::Os { op: looking, errno }),
    };
    let stat = fs::fstat(&file).map_err(Error::os(looking))?;
    // As if its mode were 0600, which another user need not have given it.
    if stat.st_uid != geteuid().as_raw() {
        return Err(Error::Os { op: looking, errno: Errno::ACCESS });
    }
    let total = stat.st_size as u64;
    let expected = PAYLOAD as u64;
    let len = total.checked_sub(expected).ok_or(Error::Size { expected, found: total })?;
    let region = Region::adopt(file, len as usize)?;
    // What is not ours, or of another pid namespace, is left alone.
    region.header().check(total)?;
    check_reserved(&region, total)?;
    if is_dead(&region)? {
        remove_dead(folder, name, &region)?;
        return Err(Error::NotFound);
    }
    Ok(region)
}

/// Whether the creator has ended. Its lock is proof that it, or a child that it forked, has not;
/// the absence of its pid, where pids are the same, is proof that it has.
fn is_dead(region: &Region) -> Result<bool, Error> {
    let locked = ofd_lock::is_locked(region, LIFE).map_err(Error::os("asking for a creator"))?;
    let header = region.header();
    Ok(!locked || (header.is_of_this_namespace() && !is_running(header)))
}

fn is_running(header: &Header) -> bool {
    let pid = i32::try_from(header.creator()).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
}

/// Waits up to a second for another process that is removing the same name, which it has no
/// reason to take long over; then the name stays, for the next who looks.
fn remove_dead(folder: &OwnedFd, name: &Name, region: &Region) -> Result<(), Error> {
    let removing = "removing dead named memory";
    let patience = Deadline::after(PATIENCE);
    while !ofd_lock::try_lock(region, SWEEP).map_err(Error::os(removing))? {
        if patience.has_passed() {
            return Err(Error::Exists);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    remove(folder, name, region)
}

/// Removes `name` if it is the name of `region`. The caller is its creator, or holds its
/// [`SWEEP`] lock.
fn remove(folder: &OwnedFd, name: &Name, region: &Region) -> Result<(), Error> {
    let removing = "removing named shared memory";
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = match fs::openat(folder, &name.file, flags, Mode::empty()) {
        Ok(found) => identity(found.as_fd()).map_err(Error::os(removing))?,
        Err(Errno::NOENT) => return Err(Error::NotFound),
        Err(errno) => return Err(Error::Os { op: removing, errno }),
    };
    if found != identity(region.as_fd()).map_err(Error::os(removing))? {
        return Err(Error::NotFound);
    }
    match fs::unlinkat(folder, &name.file, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => Err(Error::NotFound),
        Err(errno) => Err(Error::Os { op: removing, errno }),
    }
}

/// Removes the name of a segment of which this process is the creator.
pub(crate) fn unlink(name: &Name, region: &Region) -> Result<(), Error> {
    remove(&folder()?, name, region)
}

/// Removes the names whose creators have ended, and returns them.
pub(crate) fn sweep() -> Result<Vec<String>, Error> {
    let folder = folder()?;
    let entries = Dir::read_from(&folder).map_err(Error::os("reading /dev/shm"))?;
    let names = entries.filter_map(|entry| {
        let name = Name::new(entry.ok()?.file_name().to_str().ok()?.strip_prefix(PREFIX)?).ok()?;
        // What cannot be opened belongs to another user, and what is not ours stays.
        (gone(&folder, &name)).then(|| name.as_str().to_owned())
    });
    Ok(names.collect())
}

/// Whether `name` was there and dead, and was removed here.
fn gone(folder: &OwnedFd, name: &Name) -> bool {
    let there = || fs::statat(folder, &name.file, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    there() && matches!(find(folder, name), Err(Error::NotFound)) && !there()
}

fn folder() -> Result<OwnedFd, Error> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    match fs::open(FOLDER, flags, Mode::empty()) {
        Ok(folder) => Ok(folder),
        Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::NoFolder),
        Err(errno) => Err(Error::Os { op: "opening /dev/shm", errno }),
    }
}
