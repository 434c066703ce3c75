//! A stretch of shared bytes, reached by copies.
#![expect(unsafe_code, reason = "turns checked offsets into addresses")]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::copy::{copy_in, copy_out, copy_out_raw};
use crate::{Error, Region, Words};

/// A stretch of a [`Region`]'s bytes.
///
/// Others may write them at any time, so they are never seen through a reference: they are
/// copied in and out. What a copy brings may be a mixture of an old and a new state, unless a
/// lock or a protocol rules that out.
///
/// # Examples
///
/// ```
/// use mp_shm::{Error, Kind, Region};
///
/// let window = Region::create(Kind::new(*b"demo"), 100, 0)?.window(10, 20)?;
/// window.write(15, b"tail.")?;
/// let mut bytes = [0; 5];
/// window.read(15, &mut bytes)?;
/// assert_eq!(&bytes, b"tail.");
/// assert!(matches!(window.write(16, b"tail."), Err(Error::OutOfBounds { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Window {
    // INVARIANT (window): `len` bytes from `start` on lie in the mapped payload of `region`.
    region: Region,
    start: *mut u8,
    len: usize,
}

// SAFETY: a region (Send + Sync) and a pointer into it, through which bytes are only copied by
// accesses that may race (`copy`).
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// `offset` and `len` have been checked by [`Region::window`].
    pub(crate) fn at(region: Region, offset: usize, len: usize) -> Window {
        // SAFETY: INVARIANT (window), so the addition stays within the mapping.
        let start = unsafe { region.payload().add(offset) };
        Window { region, start, len }
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The region in which the bytes lie.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Copies the bytes from `at` on into `to`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]; then `to` is as before.
    #[inline]
    pub fn read(&self, at: usize, to: &mut [u8]) -> Result<(), Error> {
        let from = self.check(at, to.len())?;
        // SAFETY: INVARIANT (window) and the check; a window gives out no references.
        unsafe { copy_out(from, to) };
        Ok(())
    }

    /// Copies `from` over the bytes from `at` on.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]; then nothing is written.
    #[inline]
    pub fn write(&self, at: usize, from: &[u8]) -> Result<(), Error> {
        let to = self.check(at, from.len())?;
        // SAFETY: INVARIANT (window) and the check; a window gives out no references.
        unsafe { copy_in(from, to) };
        Ok(())
    }

    /// Copies the `len` bytes from `at` on to the end of `to`, without zeroing the room first.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]; then `to` is as before.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_shm::{Kind, Region};
    ///
    /// let window = Region::create(Kind::new(*b"demo"), 8, 0)?.window(0, 8)?;
    /// window.store(0, u64::from_le_bytes(*b"a.window"))?;
    /// let mut text = b"through ".to_vec();
    /// window.append(0, 8, &mut text)?;
    /// assert_eq!(text, b"through a.window");
    /// assert!(window.append(1, 8, &mut text).is_err());
    /// # Ok::<(), mp_shm::Error>(())
    /// ```
    #[inline]
    pub fn append(&self, at: usize, len: usize, to: &mut Vec<u8>) -> Result<(), Error> {
        let from = self.check(at, len)?;
        to.reserve(len);
        let end = to.len() + len;
        // SAFETY: INVARIANT (window) and the check for `from`; the spare room is `len` bytes long
        // at least, by `reserve`.
        unsafe { copy_out_raw(from, to.spare_capacity_mut().as_mut_ptr().cast(), len) };
        // SAFETY: the capacity suffices, and the copy has written all the bytes up to `end`.
        unsafe { to.set_len(end) };
        Ok(())
    }

    /// Reads the aligned word at `at`, in one load. Relaxed: the order comes from the lock or the
    /// commit that published it.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] or [`Error::Misaligned`].
    #[inline]
    pub fn load(&self, at: usize) -> Result<u64, Error> {
        Ok(self.word::<AtomicU64>(at)?.load(Ordering::Relaxed))
    }

    /// Writes the aligned word at `at`, in one store. Relaxed, as [`load`](Window::load).
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] or [`Error::Misaligned`].
    #[inline]
    pub fn store(&self, at: usize, word: u64) -> Result<(), Error> {
        self.word::<AtomicU64>(at)?.store(word, Ordering::Relaxed);
        Ok(())
    }

    /// The atomics at `at`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] or [`Error::Misaligned`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use mp_shm::{Kind, Region};
    ///
    /// let window = Region::create(Kind::new(*b"demo"), 16, 0)?.window(0, 16)?;
    /// window.word::<AtomicU32>(4)?.fetch_add(1, Ordering::Relaxed);
    /// assert!(window.word::<AtomicU32>(5).is_err(), "not aligned");
    /// # Ok::<(), mp_shm::Error>(())
    /// ```
    ///
    /// Not a plain reference: others may write there.
    ///
    /// ```compile_fail,E0277
    /// use mp_shm::{Kind, Region};
    /// let window = Region::create(Kind::new(*b"demo"), 16, 0).unwrap().window(0, 16).unwrap();
    /// let number: &u32 = window.word::<u32>(4).unwrap();
    /// ```
    #[inline]
    pub fn word<T: Words>(&self, at: usize) -> Result<&T, Error> {
        let place: *const T = self.check(at, size_of::<T>())?.cast_const().cast();
        if !place.is_aligned() {
            return Err(Error::Misaligned { offset: at, align: align_of::<T>() });
        }
        // SAFETY: INVARIANT (window), the check and the line above; `T: Words` puts up with
        // whatever others write there.
        Ok(unsafe { &*place })
    }

    /// Begins to fetch the cache line at `at` for a store to come. Where the processor knows no
    /// such hint, and outside of the window, nothing happens.
    #[inline]
    pub fn prefetch_store(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Ok(place) = self.check(at, 1) {
            // The intrinsic becomes a prefetch for reading unless the whole build demands more
            // than the basic instruction set; this one is a no-op where it is not known.
            // SAFETY: a hint, which changes neither memory nor registers.
            unsafe {
                std::arch::asm!("prefetchw [{}]", in(reg) place, options(nostack, preserves_flags));
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    /// A part of the window.
    pub(crate) fn part(&self, at: usize, len: usize) -> Result<Window, Error> {
        let start = self.check(at, len)?;
        Ok(Window { region: self.region.clone(), start, len })
    }

    /// Where in the region the window begins.
    pub(crate) fn offset(&self) -> usize {
        self.start.addr() - self.region.payload().addr()
    }

    #[inline]
    fn check(&self, at: usize, len: usize) -> Result<*mut u8, Error> {
        match at.checked_add(len) {
            // SAFETY: INVARIANT (window): `at <= self.len`.
            Some(end) if end <= self.len => Ok(unsafe { self.start.add(at) }),
            _ => Err(Error::OutOfBounds { offset: at, len, size: self.len }),
        }
    }
}
