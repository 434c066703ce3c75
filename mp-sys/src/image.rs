//! `/proc/self/exe`: the program that this process runs, as a descriptor.
#![expect(unsafe_code, reason = "the auxiliary vector has no safe wrapper")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};

use crate::{Errno, object, stdio};

static PINNED: OnceLock<OwnedFd> = OnceLock::new();

/// `open("/proc/self/exe", O_PATH)`, once a process: the image that runs, whatever happens to its
/// file afterwards.
///
/// A program that is rebuilt, renamed or deleted while it runs still [spawns](crate::spawn)
/// itself. Call it early: before a `chroot`, before the limit on descriptors is reached.
///
/// # Errors
///
/// [`Errno::NOENT`] where `/proc` is not mounted.
///
/// # Examples
///
/// ```
/// use std::os::fd::AsRawFd;
///
/// let image = mp_sys::image::pin().unwrap();
/// let again = mp_sys::image::pin().unwrap();
/// assert_eq!(image.as_raw_fd(), again.as_raw_fd(), "opened once");
/// ```
pub fn pin() -> Result<BorrowedFd<'static>, Errno> {
    if let Some(image) = PINNED.get() {
        return Ok(image.as_fd());
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let image = stdio::above(rustix::fs::open("/proc/self/exe", flags, Mode::empty())?)?;
    // Of two threads that come at once, the second one's descriptor is closed again.
    Ok(PINNED.get_or_init(|| image).as_fd())
}

/// `getauxval(AT_BASE)`: whether the kernel has executed the loader, which was asked to run this
/// program (`ld.so program`). Then `/proc/self/exe` is the loader.
///
/// # Examples
///
/// ```
/// assert!(!mp_sys::image::is_loader());
/// ```
pub fn is_loader() -> bool {
    // SAFETY: getauxval(3) has no precondition. It is 0 where the kernel has loaded no interpreter.
    let alone = unsafe { libc::getauxval(libc::AT_BASE) } == 0;
    alone && object::find(|object| object.is_program().then(|| object.wants_loader())) == Some(true)
}

/// `prctl(PR_SET_NAME)`: the name of the calling thread, and of a process whose main thread it is,
/// in `ps` and `top`. What is longer than 15 bytes is cut.
pub fn set_name(name: &str) {
    let short: Vec<u8> = name.bytes().filter(|byte| *byte != 0).take(15).collect();
    if let Ok(name) = std::ffi::CString::new(short) {
        // The call cannot fail with a string of this length (prctl(2)).
        let _ = rustix::thread::set_name(&name);
    }
}
