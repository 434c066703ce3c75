//! Memory that nobody can write any more.
#![expect(unsafe_code, reason = "maps memory and gives out slices of it")]

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use bytemuck::Pod;
use memmap2::{Advice, Mmap, MmapMut, MmapOptions};
use mp_sys::memfd::{self, Identity};
use mp_sys::{Errno, fd_table};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::header::{Header, PAYLOAD};
use crate::region::{check_reserved, io_error};
use crate::{Error, Kind, type_hash};

/// A slice that any number of processes read in place, and that nobody can write.
///
/// It is filled by one process, then sealed by the kernel (`F_SEAL_WRITE`), so a plain `&[T]` into
/// it is sound whatever the other processes do. However many of them hold it, the memory is there
/// once. It dereferences to the slice; a clone, and what arrives where it was sent, is the same
/// memory.
///
/// Python has nothing like it: there, large inputs are pickled into every task.
///
/// # Examples
///
/// ```
/// use mp_shm::Frozen;
///
/// let table = Frozen::from_slice(&[2.0_f64, 3.0, 5.0])?;
/// assert_eq!(table.iter().sum::<f64>(), 10.0);
///
/// // Filled in place, without a private copy beside it.
/// let mut builder = Frozen::<u32>::builder(1_000)?;
/// for (index, element) in builder.iter_mut().enumerate() {
///     *element = index as u32;
/// }
/// let numbers = builder.freeze()?;
/// assert_eq!(numbers[999], 999);
/// # Ok::<(), mp_shm::Error>(())
/// ```
///
/// What is frozen cannot be written:
///
/// ```compile_fail,E0594
/// let table = mp_shm::Frozen::from_slice(&[1_u8, 2]).unwrap();
/// table[0] = 3;
/// ```
///
/// A slice does not outlive the handle:
///
/// ```compile_fail,E0597
/// let slice: &[u8] = {
///     let table = mp_shm::Frozen::from_slice(&[1_u8, 2]).unwrap();
///     &table
/// };
/// assert_eq!(slice[0], 1);
/// ```
///
/// A type with padding or with forbidden bit patterns has no place there:
///
/// ```compile_fail,E0277
/// #[derive(Clone, Copy)]
/// #[repr(C)]
/// struct Padded { small: u8, large: u64 }
/// let table = mp_shm::Frozen::from_slice(&[Padded { small: 1, large: 2 }]);
/// ```
pub struct Frozen<T: Pod + Send + Sync> {
    inner: Arc<Inner>,
    element: PhantomData<T>,
}

struct Inner {
    fd: OwnedFd,
    identity: Identity,
    // INVARIANT (frozen): a memfd that the kernel has sealed against writing and resizing, so its
    // bytes never change, mapped whole: a checked header, then whole elements of the header's
    // type. Mapped at a page, so what follows the 64 bytes of the header is aligned to 64.
    map: Mmap,
}

/// What this process has mapped, so that each is mapped once.
static MAPPED: LazyLock<Mutex<HashMap<Identity, Weak<Inner>>>> = LazyLock::new(Mutex::default);

impl<T: Pod + Send + Sync> Frozen<T> {
    const FITS: () = assert!(size_of::<T>() > 0 && align_of::<T>() <= PAYLOAD);

    /// Makes a frozen copy of `slice`.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the memory or a descriptor is not to be had.
    pub fn from_slice(slice: &[T]) -> Result<Frozen<T>, Error> {
        let mut builder = Frozen::builder(slice.len())?;
        builder.copy_from_slice(slice);
        builder.freeze()
    }

    /// Makes room for `len` elements, all zero, to be filled and then
    /// [frozen](FrozenBuilder::freeze).
    ///
    /// # Errors
    ///
    /// As [`from_slice`](Frozen::from_slice).
    pub fn builder(len: usize) -> Result<FrozenBuilder<T>, Error> {
        const { Frozen::<T>::FITS };
        let too_big = Error::Os { op: "creating frozen memory", errno: Errno::NOMEM };
        let total = len.checked_mul(size_of::<T>()).and_then(|size| size.checked_add(PAYLOAD));
        let total = total.ok_or(too_big)?;
        let fd =
            memfd::create_open(c"mp", total as u64).map_err(Error::os("creating frozen memory"))?;
        // SAFETY: the memory is ours alone: nobody else has the descriptor, and a forked child
        // does not get the mapping (below). Its size is what was just reserved.
        let map = unsafe { MmapOptions::new().len(total).map_mut(fd.as_raw_fd()) };
        let map = map.map_err(io_error("mapping memory"))?;
        // A forked child that used the builder too would write what we hold as `&mut`.
        map.advise(Advice::DontFork).map_err(io_error("keeping a mapping from children"))?;
        let header: *const Header = map.as_ptr().cast();
        // SAFETY: PAYLOAD bytes lie there, page-aligned; `Header` is all atomics.
        unsafe { &*header }.fill(Kind::FROZEN, total - PAYLOAD, type_hash::<T>());
        Ok(FrozenBuilder { fd, map, element: PhantomData })
    }

    /// Attaches the frozen memory behind `fd`, which another process has made.
    ///
    /// # Errors
    ///
    /// [`Error::NotFrozen`] if anybody could still write it; [`Error::Element`] if it holds
    /// another type; otherwise as [`Region::attach`](crate::Region::attach).
    pub fn attach(fd: BorrowedFd<'_>) -> Result<Frozen<T>, Error> {
        const { Frozen::<T>::FITS };
        let looking = "looking at frozen memory";
        let identity = memfd::identity(fd).map_err(Error::os(looking))?;
        let known = mapped(|all| all.get(&identity).and_then(Weak::upgrade));
        let inner = match known {
            Some(inner) => inner,
            None => {
                // Whatever is not a memfd has no seals and answers EINVAL.
                match memfd::is_frozen(fd) {
                    Ok(true) => {}
                    Ok(false) | Err(Errno::INVAL) => return Err(Error::NotFrozen),
                    Err(errno) => return Err(Error::Os { op: looking, errno }),
                }
                let fd = fd.try_clone_to_owned().map_err(io_error("duplicating a descriptor"))?;
                Inner::map(fd, identity)?
            }
        };
        let header = inner.header();
        header.expect(Kind::FROZEN, type_hash::<T>())?;
        // The header's writer may have had other ideas of the type's size.
        let (expected, found) = (size_of::<T>() as u64, inner.payload().len() as u64);
        if found % expected != 0 {
            return Err(Error::Size { expected, found });
        }
        Ok(Frozen { inner, element: PhantomData })
    }

    /// Whether both are the same memory.
    pub fn same(&self, other: &Frozen<T>) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Inner {
    /// Maps what is known to be frozen.
    fn map(fd: OwnedFd, identity: Identity) -> Result<Arc<Inner>, Error> {
        let total = memfd::size(&fd).map_err(Error::os("looking at frozen memory"))?;
        if total < PAYLOAD as u64 {
            return Err(Error::Size { expected: PAYLOAD as u64, found: total });
        }
        // Private: before Linux 6.7 a memfd sealed against writing cannot be mapped shared at all
        // (mmap(2), EPERM). Nothing is copied, since nothing can be written.
        // SAFETY: INVARIANT (frozen), which the caller has checked: neither content nor size
        // changes while it is mapped.
        let map =
            unsafe { MmapOptions::new().len(total as usize).map_copy_read_only(fd.as_raw_fd()) };
        let map = map.map_err(io_error("mapping frozen memory"))?;
        let inner = Inner { fd, identity, map };
        inner.header().check(total)?;
        check_reserved(&inner.fd, total)?;
        mapped(|all| {
            let place = all.entry(identity).or_default();
            // Another thread may have been faster: then its mapping is the one.
            let inner = place.upgrade().unwrap_or_else(|| Arc::new(inner));
            *place = Arc::downgrade(&inner);
            Ok(inner)
        })
    }

    fn header(&self) -> &Header {
        let header: *const Header = self.map.as_ptr().cast();
        // SAFETY: INVARIANT (frozen); the header is only loaded from.
        unsafe { &*header }
    }

    fn payload(&self) -> &[u8] {
        &self.map[PAYLOAD..]
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        mapped(|all| {
            // Another mapping of the same memory may have taken the place.
            if all.get(&self.identity).is_some_and(|weak| weak.strong_count() == 0) {
                all.remove(&self.identity);
            }
        });
    }
}

fn mapped<R>(act: impl FnOnce(&mut HashMap<Identity, Weak<Inner>>) -> R) -> R {
    // Nothing in the closures panics with the map half changed.
    act(&mut MAPPED.lock().unwrap_or_else(PoisonError::into_inner))
}

impl<T: Pod + Send + Sync> Deref for Frozen<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // Cannot panic: INVARIANT (frozen) and `attach` have checked alignment and size.
        bytemuck::cast_slice(self.inner.payload())
    }
}

impl<T: Pod + Send + Sync> Clone for Frozen<T> {
    fn clone(&self) -> Frozen<T> {
        Frozen { inner: Arc::clone(&self.inner), element: PhantomData }
    }
}

impl<T: Pod + Send + Sync> AsFd for Frozen<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.fd.as_fd()
    }
}

impl<T: Pod + Send + Sync> fmt::Debug for Frozen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fd = self.inner.fd.as_raw_fd();
        f.debug_struct("Frozen").field("fd", &fd).field("len", &self.len()).finish()
    }
}

impl<T: Pod + Send + Sync> Serialize for Frozen<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fd_table::push_once(self.as_fd()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de, T: Pod + Send + Sync> Deserialize<'de> for Frozen<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Frozen<T>, D::Error> {
        let index = u32::deserialize(deserializer)?;
        let frozen = fd_table::with(index, Frozen::attach).map_err(de::Error::custom)?;
        frozen.map_err(de::Error::custom)
    }
}

/// Memory to be filled and then [frozen](FrozenBuilder::freeze). It dereferences to a mutable
/// slice, since no other process can have it yet; a forked child cannot touch it.
pub struct FrozenBuilder<T: Pod + Send + Sync> {
    fd: OwnedFd,
    map: MmapMut,
    element: PhantomData<T>,
}

impl<T: Pod + Send + Sync> FrozenBuilder<T> {
    /// Seals the memory: from here on nobody can write it, this process included.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the kernel refuses, or memory or descriptors run out.
    pub fn freeze(self) -> Result<Frozen<T>, Error> {
        let FrozenBuilder { fd, map, .. } = self;
        // The kernel seals only what nobody has mapped for writing.
        drop(map);
        memfd::freeze(&fd).map_err(Error::os("freezing memory"))?;
        let identity = memfd::identity(fd.as_fd()).map_err(Error::os("freezing memory"))?;
        Ok(Frozen { inner: Inner::map(fd, identity)?, element: PhantomData })
    }
}

impl<T: Pod + Send + Sync> Deref for FrozenBuilder<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // Cannot panic: page-aligned plus 64, and whole elements follow, as `builder` made it.
        bytemuck::cast_slice(&self.map[PAYLOAD..])
    }
}

impl<T: Pod + Send + Sync> DerefMut for FrozenBuilder<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map[PAYLOAD..])
    }
}

impl<T: Pod + Send + Sync> fmt::Debug for FrozenBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenBuilder").field("len", &self.len()).finish()
    }
}
