//! `signalfd(2)`: signals that are read, instead of interrupting.
#![expect(unsafe_code, reason = "signal sets have no safe wrapper")]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::Errno;

/// The size of what one read gives: `struct signalfd_siginfo`.
const RECORD: usize = size_of::<libc::signalfd_siginfo>();

/// Signals that wait to be read.
///
/// Readable, for `poll`, once a signal has come.
#[derive(Debug)]
pub struct SignalFd {
    fd: OwnedFd,
}

impl SignalFd {
    /// `sigprocmask` + `signalfd`: blocks `signals` on the calling thread, and on the threads
    /// that it starts from here on, and makes them readable.
    ///
    /// Threads that exist already go on taking the signals in the old way, so this belongs to
    /// the start of a program. The signals stay blocked when the value is dropped.
    ///
    /// # Errors
    ///
    /// [`Errno::INVAL`] for a number that is no signal, [`Errno::MFILE`] or [`Errno::NFILE`]
    /// when descriptors run out.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_sys::signal_fd::SignalFd;
    ///
    /// const SIGUSR1: i32 = 10;
    /// std::thread::spawn(|| {
    ///     let signals = SignalFd::block(&[SIGUSR1]).unwrap();
    ///     assert!(SignalFd::block(&[1000]).is_err());
    ///     drop(signals);
    /// })
    /// .join()
    /// .unwrap();
    /// ```
    pub fn block(signals: &[i32]) -> Result<SignalFd, Errno> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset(3) initialises the set it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        for &signal in signals {
            // SAFETY: the set is initialised above; a wrong number is refused, not written.
            if unsafe { libc::sigaddset(set.as_mut_ptr(), signal) } != 0 {
                return Err(Errno::INVAL);
            }
        }
        // SAFETY: the set is initialised, and a new descriptor is asked for.
        let fd = unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC) };
        if fd < 0 {
            return Err(crate::last_errno());
        }
        // SAFETY: signalfd(2) gave this descriptor to us, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: the set is initialised, and the old mask is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()) };
        Ok(SignalFd { fd })
    }

    /// `read`: the number of the next signal.
    ///
    /// # Blocking
    ///
    /// Waits for a signal. Who sends it may die: the signal is there or it is not.
    ///
    /// # Errors
    ///
    /// Whatever `read(2)` says; none is expected.
    pub fn read(&self) -> Result<i32, Errno> {
        let mut record = [0; RECORD];
        loop {
            match rustix::io::read(&self.fd, &mut record) {
                Err(Errno::INTR) => {}
                Ok(RECORD) => {
                    // The first field, `ssi_signo`.
                    let [a, b, c, d, ..] = record;
                    return Ok(i32::from_ne_bytes([a, b, c, d]));
                }
                Ok(_) => return Err(Errno::IO),
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_read() {
        let signals = SignalFd::block(&[libc::SIGUSR2]).unwrap();
        // SAFETY: a signal to the calling thread, which blocks it.
        unsafe { libc::raise(libc::SIGUSR2) };
        assert_eq!(signals.read(), Ok(libc::SIGUSR2));
    }
}
