//! `pthread_mutex_lock(3)` and its family: the C library's robust, process-shared mutex.
//!
//! For the places where [`robust`](crate::robust) does not know the C library's list. The mutex
//! is the error-checking kind: locking what one holds is [`Errno::DEADLK`], unlocking what one
//! does not hold is [`Errno::PERM`].
//!
//! A mutex lies in memory that was zeroed and needs no set-up by one chosen process: whoever
//! comes first stores the words in which an initialised mutex differs from zero bytes. They are
//! the same in every process and never change, so storing them twice does no harm.
#![expect(unsafe_code, reason = "the mutex is a C structure in shared memory")]

use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_int, pthread_mutex_t};

use crate::{Deadline, Errno};

/// How many words a [`Place`] has.
const WORDS: usize = size_of::<pthread_mutex_t>() / 4;

/// Room for a robust mutex of the C library; all zero bytes are a free one.
///
/// A place must not move, nor be unmapped, while it is locked.
#[repr(C, align(8))]
#[derive(Debug)]
pub struct Place {
    words: [AtomicU32; WORDS],
}

const _: () = assert!(size_of::<Place>() == size_of::<pthread_mutex_t>());
const _: () = assert!(align_of::<Place>() >= align_of::<pthread_mutex_t>());

/// How a lock came to its new holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Its last holder had unlocked it.
    Clean,
    /// Its last holder died. The mutex has been made consistent.
    OwnerDied,
}

impl Place {
    /// A free mutex.
    #[expect(clippy::new_without_default, reason = "shared memory is zeroed, not constructed")]
    pub const fn new() -> Place {
        Place { words: [const { AtomicU32::new(0) }; WORDS] }
    }

    /// `pthread_mutex_lock`, or with a deadline `pthread_mutex_clocklock`.
    ///
    /// # Blocking
    ///
    /// Waits for the holder to unlock. If the holder dies: *recovers* with [`Held::OwnerDied`].
    ///
    /// # Errors
    ///
    /// [`Errno::TIMEDOUT`] when the deadline passes, [`Errno::DEADLK`] when the calling thread
    /// holds the mutex.
    ///
    /// # Safety
    ///
    /// The place stays mapped, at this address, until the calling thread has unlocked it or ended.
    pub unsafe fn lock(&self, deadline: Option<Deadline>) -> Result<Held, Errno> {
        let mutex = self.prepared()?;
        let result = match deadline {
            // SAFETY: `mutex` is initialised and stays mapped (contract).
            None => unsafe { libc::pthread_mutex_lock(mutex) },
            // SAFETY: as above.
            Some(deadline) => unsafe { lock_before(mutex, deadline) },
        };
        held(mutex, result)
    }

    /// `pthread_mutex_trylock`: `None` when somebody holds it.
    ///
    /// # Errors
    ///
    /// Those of `pthread_mutex_trylock(3)`.
    ///
    /// # Safety
    ///
    /// As [`lock`](Place::lock).
    pub unsafe fn try_lock(&self) -> Result<Option<Held>, Errno> {
        let mutex = self.prepared()?;
        // SAFETY: `mutex` is initialised and stays mapped (contract).
        match unsafe { libc::pthread_mutex_trylock(mutex) } {
            libc::EBUSY => Ok(None),
            result => held(mutex, result).map(Some),
        }
    }

    /// `pthread_mutex_unlock`.
    ///
    /// # Errors
    ///
    /// [`Errno::PERM`] when the calling thread does not hold it: nothing has happened then.
    pub fn unlock(&self) -> Result<(), Errno> {
        let mutex = self.prepared()?;
        // SAFETY: `mutex` is initialised, and the error-checking kind checks the holder itself.
        check(unsafe { libc::pthread_mutex_unlock(mutex) })
    }

    /// The C mutex, after making sure that it is initialised.
    fn prepared(&self) -> Result<*mut pthread_mutex_t, Errno> {
        for (word, wanted) in self.words.iter().zip(image()?) {
            if *wanted != 0 && word.load(Ordering::Relaxed) != *wanted {
                word.store(*wanted, Ordering::Release); // Release: before our first lock.
            }
        }
        Ok(self.words.as_ptr().cast_mut().cast())
    }
}

/// The words of an initialised mutex.
fn image() -> Result<&'static [u32; WORDS], Errno> {
    static IMAGE: OnceLock<Result<[u32; WORDS], Errno>> = OnceLock::new();
    IMAGE.get_or_init(make_image).as_ref().map_err(|errno| *errno)
}

fn make_image() -> Result<[u32; WORDS], Errno> {
    let mut attr = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let attr = attr.as_mut_ptr();
    let mut words = [0_u32; WORDS];
    // SAFETY: `attr` has room for the attributes.
    check(unsafe { libc::pthread_mutexattr_init(attr) })?;
    // SAFETY: `attr` has been initialised, here and in what follows.
    check(unsafe { libc::pthread_mutexattr_setpshared(attr, libc::PTHREAD_PROCESS_SHARED) })?;
    // SAFETY: as above.
    check(unsafe { libc::pthread_mutexattr_setrobust(attr, libc::PTHREAD_MUTEX_ROBUST) })?;
    // SAFETY: as above.
    check(unsafe { libc::pthread_mutexattr_settype(attr, libc::PTHREAD_MUTEX_ERRORCHECK) })?;
    let place = Place::new();
    // SAFETY: `place` has the size and the alignment of a mutex (asserted above), and is written
    // by nobody else.
    check(unsafe { libc::pthread_mutex_init(place.words.as_ptr().cast_mut().cast(), attr) })?;
    for (to, from) in words.iter_mut().zip(&place.words) {
        *to = from.load(Ordering::Relaxed);
    }
    // SAFETY: initialised above, and not used again.
    check(unsafe { libc::pthread_mutexattr_destroy(attr) })?;
    Ok(words)
}

fn held(mutex: *mut pthread_mutex_t, result: c_int) -> Result<Held, Errno> {
    if result != libc::EOWNERDEAD {
        return check(result).map(|()| Held::Clean);
    }
    // SAFETY: EOWNERDEAD says that the calling thread holds the mutex and it is inconsistent.
    check(unsafe { libc::pthread_mutex_consistent(mutex) })?;
    Ok(Held::OwnerDied)
}

/// # Safety
///
/// `mutex` is initialised.
#[cfg(target_env = "gnu")]
unsafe fn lock_before(mutex: *mut pthread_mutex_t, deadline: Deadline) -> c_int {
    unsafe extern "C" {
        // glibc 2.30; the libc crate does not declare it.
        fn pthread_mutex_clocklock(
            mutex: *mut pthread_mutex_t,
            clock: libc::clockid_t,
            until: *const libc::timespec,
        ) -> c_int;
    }
    let until = deadline.timespec();
    let until = libc::timespec { tv_sec: until.tv_sec, tv_nsec: until.tv_nsec };
    // SAFETY: the caller's contract; `until` lives through the call.
    unsafe { pthread_mutex_clocklock(mutex, libc::CLOCK_MONOTONIC, &raw const until) }
}

/// Without a monotonic timed lock: waits by the wall clock in slices, and lets the monotonic
/// clock say when it is over. A step of the wall clock shortens or lengthens one slice at most.
///
/// # Safety
///
/// `mutex` is initialised.
#[cfg(not(target_env = "gnu"))]
unsafe fn lock_before(mutex: *mut pthread_mutex_t, deadline: Deadline) -> c_int {
    use std::time::{Duration, SystemTime};
    loop {
        let slice = deadline.remaining().min(Duration::from_millis(50));
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let until = since + slice;
        let until = libc::timespec {
            tv_sec: until.as_secs() as libc::time_t,
            tv_nsec: until.subsec_nanos() as _,
        };
        // SAFETY: the caller's contract; `until` lives through the call.
        let result = unsafe { libc::pthread_mutex_timedlock(mutex, &raw const until) };
        if result != libc::ETIMEDOUT || deadline.has_passed() {
            return result;
        }
    }
}

fn check(result: c_int) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(result)) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Held, Place};
    use crate::{Deadline, Errno};

    #[test]
    fn a_zeroed_place_is_a_free_mutex() {
        static PLACE: Place = Place::new();
        let place = &PLACE;
        // SAFETY: the place is never unmapped, here and below.
        assert_eq!(unsafe { place.lock(None) }, Ok(Held::Clean));
        // SAFETY: as above.
        assert_eq!(unsafe { place.lock(None) }, Err(Errno::DEADLK));
        let other = std::thread::spawn(|| {
            // SAFETY: as above.
            assert_eq!(unsafe { place.try_lock() }, Ok(None));
            let soon = Deadline::after(Duration::from_millis(5));
            // SAFETY: as above.
            assert_eq!(unsafe { place.lock(Some(soon)) }, Err(Errno::TIMEDOUT));
            assert_eq!(place.unlock(), Err(Errno::PERM));
        });
        other.join().unwrap();
        assert_eq!(place.unlock(), Ok(()));
    }

    #[test]
    fn the_next_holder_learns_of_a_death() {
        static PLACE: Place = Place::new();
        let place = &PLACE;
        // SAFETY: the place is never unmapped, here and below.
        let ended = std::thread::spawn(|| unsafe { place.lock(None) });
        assert_eq!(ended.join().unwrap(), Ok(Held::Clean));
        // SAFETY: as above.
        assert_eq!(unsafe { place.try_lock() }, Ok(Some(Held::OwnerDied)));
        assert_eq!(place.unlock(), Ok(()));
        // SAFETY: as above.
        assert_eq!(unsafe { place.lock(None) }, Ok(Held::Clean));
        assert_eq!(place.unlock(), Ok(()));
    }
}
