//! `memfd_create(2)`: memory without a name, kept alive by whoever holds it.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat,
    memfd_create,
};

use crate::{Errno, memory};

/// `memfd_create` + `fallocate` + `F_ADD_SEALS`: memory of exactly `size` bytes, all zero, that
/// can neither shrink nor grow.
///
/// The pages are reserved here, so a full machine is an error at creation and never a `SIGBUS`
/// later. A large request is [compared](memory::check) with what there is first, since the
/// kernel would sooner kill a process than refuse it. The descriptor is close-on-exec. `name` is
/// for people who read `/proc/PID/maps`.
///
/// # Errors
///
/// [`Errno::INVAL`] for a size of zero, [`Errno::NOSPC`] or [`Errno::NOMEM`] when the memory is
/// not to be had, [`Errno::MFILE`] or [`Errno::NFILE`] when descriptors run out.
///
/// # Examples
///
/// ```
/// use mp_sys::{Errno, memfd};
///
/// let memory = memfd::create(c"example", 4096).unwrap();
/// assert_eq!(memfd::size(&memory), Ok(4096));
/// assert_eq!(memfd::create(c"example", 0).unwrap_err(), Errno::INVAL);
/// assert_eq!(memfd::create(c"example", 1 << 60).unwrap_err(), Errno::NOMEM);
/// ```
pub fn create(name: &CStr, size: u64) -> Result<OwnedFd, Errno> {
    let memory = create_open(name, size)?;
    fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(memory)
}

/// `memfd_create` + `fallocate`: as [`create`], but the seals are left to the caller, for memory
/// that is written first and then [frozen](freeze).
///
/// # Errors
///
/// As [`create`].
pub fn create_open(name: &CStr, size: u64) -> Result<OwnedFd, Errno> {
    memory::check(size)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // NOEXEC_SEAL came with Linux 6.3; an older kernel says EINVAL.
    let memory = memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create(name, flags))?;
    fallocate(&memory, FallocateFlags::empty(), 0, size)?;
    Ok(memory)
}

/// `fcntl(F_ADD_SEALS)`: from here on nobody can write, shrink or grow `memory`, ever.
///
/// # Errors
///
/// [`Errno::BUSY`] while anybody still has it mapped writable; [`Errno::PERM`] if it is sealed
/// against sealing.
///
/// # Examples
///
/// ```
/// use mp_sys::memfd;
///
/// let memory = memfd::create_open(c"example", 4096).unwrap();
/// rustix::io::pwrite(&memory, b"fixed", 0).unwrap();
/// memfd::freeze(&memory).unwrap();
/// assert!(memfd::is_frozen(&memory).unwrap());
/// assert!(rustix::io::pwrite(&memory, b"other", 0).is_err());
/// ```
pub fn freeze(memory: impl AsFd) -> Result<(), Errno> {
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(memory, seals)
}

/// `fcntl(F_GET_SEALS)`: whether nobody can write or resize `memory` any more.
///
/// # Errors
///
/// [`Errno::INVAL`] if it is not a memfd at all.
pub fn is_frozen(memory: impl AsFd) -> Result<bool, Errno> {
    let wanted = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    Ok(fcntl_get_seals(memory)?.contains(wanted))
}

/// `fcntl(F_GET_SEALS)`: whether the size of `memory` is fixed, so that mapping it is safe from
/// `SIGBUS`.
///
/// # Errors
///
/// [`Errno::INVAL`] if it is not a memfd at all.
pub fn is_size_fixed(memory: impl AsFd) -> Result<bool, Errno> {
    Ok(fcntl_get_seals(memory)?.contains(SealFlags::SHRINK | SealFlags::GROW))
}

/// `fstat`: the size in bytes.
///
/// # Errors
///
/// Those of `fstat(2)`; none for an open memfd.
pub fn size(memory: impl AsFd) -> Result<u64, Errno> {
    Ok(fstat(memory)?.st_size as u64)
}

/// `fstat`: how many bytes of memory, in whole pages, are there already.
///
/// Fewer than the [size] means that its maker has paid for less than it claims: reading the
/// rest takes memory at the reader's expense.
///
/// # Errors
///
/// As [`size`].
///
/// # Examples
///
/// ```
/// use mp_sys::memfd;
///
/// assert!(memfd::reserved(memfd::create(c"example", 5000).unwrap()).unwrap() >= 5000);
/// let sparse = memfd::create_open(c"example", 1).unwrap();
/// rustix::fs::ftruncate(&sparse, 1 << 40).unwrap();
/// assert!(memfd::reserved(&sparse).unwrap() < 1 << 40);
/// ```
pub fn reserved(memory: impl AsFd) -> Result<u64, Errno> {
    // In blocks of 512 bytes, whatever the file system's own are (inode(7)).
    Ok(fstat(memory)?.st_blocks as u64 * 512)
}

/// What a descriptor leads to, whatever its number: device and inode.
///
/// Two descriptors with the same identity are the same memory, as long as one of them is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// `fstat`: the identity of what `fd` leads to.
///
/// # Errors
///
/// Those of `fstat(2)`; none for an open descriptor.
pub fn identity(fd: BorrowedFd<'_>) -> Result<Identity, Errno> {
    let stat = fstat(fd)?;
    Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
}
