//! Memory that several processes see.
#![expect(unsafe_code, reason = "a mapping is a raw pointer")]

use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use memmap2::{MmapOptions, MmapRaw};
use mp_sys::memfd::{self, Identity};
use mp_sys::{Errno, fd_table};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::header::{Header, PAYLOAD};
use crate::{Error, Kind, Place, Placed, Window, Words};

/// Memory that several processes see, with a header that says what it holds.
///
/// A region is a memfd: it has no name, so there is nothing to leak, to clean up or to guess. It
/// lives as long as any process holds it. Its pages are reserved when it is made, and its size is
/// sealed, so touching it never ends in `SIGBUS`.
///
/// `Region` is a handle: a clone leads to the same memory, and so does one that has travelled in
/// a message. In one process the same memory is mapped once, however often it arrives.
///
/// # Examples
///
/// ```
/// use mp_shm::{Error, Kind, Region};
///
/// let kind = Kind::new(*b"demo");
/// let region = Region::create(kind, 1024, 0)?;
/// region.window(0, 1024)?.write(1000, b"hello")?;
/// assert!(matches!(region.window(1000, 25), Err(Error::OutOfBounds { .. })));
/// assert!(matches!(region.expect(Kind::QUEUE, 0), Err(Error::Kind { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Region {
    inner: Arc<Inner>,
}

struct Inner {
    fd: OwnedFd,
    identity: Identity,
    // INVARIANT (mapped): `PAYLOAD + len` bytes, page-aligned, readable and writable, mapped until
    // `Inner` is dropped: of a memfd that can neither shrink nor grow, or of a named file, whose
    // size nobody of ours changes (if a stranger does, the kernel ends who touches it: SIGBUS).
    map: MmapRaw,
    len: usize,
}

/// The regions that this process has mapped, so that each is mapped once.
static MAPPED: LazyLock<Mutex<HashMap<Identity, Weak<Inner>>>> = LazyLock::new(Mutex::default);

impl Region {
    /// Makes a region of `len` bytes, all zero, for a `kind` of content and a number that
    /// identifies its `element` type (see [`type_hash`](crate::type_hash)).
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the memory or a descriptor is not to be had.
    pub fn create(kind: Kind, len: usize, element: u64) -> Result<Region, Error> {
        let too_big = Error::Os { op: "creating a region", errno: Errno::NOMEM };
        let total = len.checked_add(PAYLOAD).ok_or(too_big)?;
        let fd = memfd::create(c"mp", total as u64).map_err(Error::os("creating a region"))?;
        let region = Region { inner: Arc::new(Inner::map(fd, len)?) };
        region.header().fill(kind, len, element);
        mapped(|all| all.insert(region.inner.identity, Arc::downgrade(&region.inner)));
        Ok(region)
    }

    /// Attaches the region behind `fd`, which another process has made, and checks its header.
    ///
    /// # Errors
    ///
    /// One of [`Error`]'s first eight if it is not such a region, naming what was expected and
    /// what was found; [`Error::Os`] if it cannot be mapped.
    pub fn attach(fd: BorrowedFd<'_>, kind: Kind, element: u64) -> Result<Region, Error> {
        Region::open(fd)?.expect(kind, element)
    }

    /// Returns the region itself if it holds `kind` and `element`.
    ///
    /// # Errors
    ///
    /// [`Error::Kind`] or [`Error::Element`] if it holds something else.
    pub fn expect(self, kind: Kind, element: u64) -> Result<Region, Error> {
        self.header().expect(kind, element)?;
        Ok(self)
    }

    /// A named file of `PAYLOAD + len` bytes. It is mapped once for each time it is opened, since
    /// the open file carries the creator's lock.
    pub(crate) fn adopt(fd: OwnedFd, len: usize) -> Result<Region, Error> {
        Ok(Region { inner: Arc::new(Inner::map(fd, len)?) })
    }

    pub(crate) fn open(fd: BorrowedFd<'_>) -> Result<Region, Error> {
        let identity = memfd::identity(fd).map_err(Error::os("looking at a region"))?;
        let known = mapped(|all| all.get(&identity).and_then(Weak::upgrade));
        if let Some(inner) = known {
            return Ok(Region { inner });
        }
        // Whatever is not a memfd has no seals and answers EINVAL.
        match memfd::is_size_fixed(fd) {
            Ok(true) => {}
            Ok(false) | Err(Errno::INVAL) => return Err(Error::NotSealed),
            Err(errno) => return Err(Error::Os { op: "looking at a region", errno }),
        }
        let total = memfd::size(fd).map_err(Error::os("looking at a region"))?;
        let Some(len) = (total as usize).checked_sub(PAYLOAD) else {
            return Err(Error::Size { expected: PAYLOAD as u64, found: total });
        };
        let fd = fd.try_clone_to_owned().map_err(io_error("duplicating a region's descriptor"))?;
        let inner = Inner::map(fd, len)?;
        inner.header().check(total)?;
        check_reserved(&inner.fd, total)?;
        // Another thread may have been faster: then its mapping is the one.
        mapped(|all| {
            let place = all.entry(identity).or_default();
            let inner = place.upgrade().unwrap_or_else(|| Arc::new(inner));
            *place = Arc::downgrade(&inner);
            Ok(Region { inner })
        })
    }

    /// The number of bytes, without the header.
    #[expect(clippy::len_without_is_empty, reason = "a region is never empty")]
    pub fn len(&self) -> usize {
        self.inner.len
    }

    /// The process that made the region. It may have ended, and its pid may be another's.
    pub fn creator(&self) -> u32 {
        self.header().creator()
    }

    /// The object of type `T` at `offset`, which may keep its bytes to itself.
    ///
    /// Bytes that were never written are zero, which every [`Place`] type takes for its initial
    /// state.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] or [`Error::Misaligned`].
    ///
    /// # Safety
    ///
    /// In every process, whatever else is placed in this region, and every window into it, lies
    /// beside the object and not over it. A type that owns its region and hands out neither
    /// keeps this promise by its layout.
    pub unsafe fn place<T: Place>(&self, offset: usize) -> Result<Placed<T>, Error> {
        self.placed(offset)
    }

    /// The atomics at `offset`, which put up with anything that others write there.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] or [`Error::Misaligned`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use mp_shm::{Kind, Region};
    ///
    /// let region = Region::create(Kind::new(*b"demo"), 128, 0)?;
    /// let counters = region.words::<[AtomicU64; 8]>(64)?;
    /// counters[7].fetch_add(1, Ordering::Relaxed);
    /// assert!(region.words::<[AtomicU64; 9]>(64).is_err());
    /// # Ok::<(), mp_shm::Error>(())
    /// ```
    pub fn words<T: Words>(&self, offset: usize) -> Result<Placed<T>, Error> {
        self.placed(offset)
    }

    pub(crate) fn placed<T: Place>(&self, offset: usize) -> Result<Placed<T>, Error> {
        self.check(offset, size_of::<T>())?;
        if !offset.is_multiple_of(align_of::<T>()) || align_of::<T>() > PAYLOAD {
            return Err(Error::Misaligned { offset, align: align_of::<T>() });
        }
        Ok(Placed::at(self.clone(), offset))
    }

    /// The bytes from `offset` on, to be copied in and out.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`].
    pub fn window(&self, offset: usize, len: usize) -> Result<Window, Error> {
        self.check(offset, len)?;
        Ok(Window::at(self.clone(), offset, len))
    }

    /// The one place where offsets into shared memory are checked.
    fn check(&self, offset: usize, len: usize) -> Result<(), Error> {
        let size = self.len();
        match offset.checked_add(len) {
            Some(end) if end <= size => Ok(()),
            _ => Err(Error::OutOfBounds { offset, len, size }),
        }
    }

    /// Whether both lead to the same memory.
    pub fn same(&self, other: &Region) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn header(&self) -> &Header {
        self.inner.header()
    }

    /// The address of the first payload byte; [`len`](Region::len) bytes follow, mapped readable
    /// and writable for as long as the region lives.
    pub fn payload(&self) -> *mut u8 {
        // SAFETY: INVARIANT (mapped): the map is at least PAYLOAD bytes long.
        unsafe { self.inner.map.as_mut_ptr().add(PAYLOAD) }
    }
}

impl Inner {
    fn map(fd: OwnedFd, len: usize) -> Result<Inner, Error> {
        let identity = memfd::identity(fd.as_fd()).map_err(Error::os("looking at a region"))?;
        let map = MmapOptions::new()
            .len(PAYLOAD + len)
            .map_raw(fd.as_raw_fd())
            .map_err(io_error("mapping a region"))?;
        Ok(Inner { fd, identity, map, len })
    }

    fn header(&self) -> &Header {
        let header: *const Header = self.map.as_mut_ptr().cast_const().cast();
        // SAFETY: INVARIANT (mapped): PAYLOAD bytes lie there, page-aligned; `Header` is all
        // atomics, for which every bit pattern is valid and which others may write.
        unsafe { &*header }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        mapped(|all| {
            // A new mapping of the same memory may have taken the place.
            if all.get(&self.identity).is_some_and(|weak| weak.strong_count() == 0) {
                all.remove(&self.identity);
            }
        });
    }
}

/// Checks that all the pages are there: who claims a terabyte must have it.
pub(crate) fn check_reserved(fd: impl AsFd, expected: u64) -> Result<(), Error> {
    let found = memfd::reserved(fd).map_err(Error::os("looking at a region"))?;
    if found < expected { Err(Error::NotReserved { expected, found }) } else { Ok(()) }
}

fn mapped<R>(act: impl FnOnce(&mut HashMap<Identity, Weak<Inner>>) -> R) -> R {
    // Nothing in the closures panics with the map half changed.
    act(&mut MAPPED.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) fn io_error(op: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::Os { op, errno: Errno::from_io_error(&error).unwrap_or(Errno::IO) }
}

/// A region travels as the index of its descriptor; what it holds stands in its header.
impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = fd_table::push_once(self.inner.fd.as_fd()).map_err(ser::Error::custom)?;
        index.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
        let region = Region::received(deserializer)?;
        // What lies in an arena is reached through its own handles only.
        match region.header().expect(Kind::ARENA, 0) {
            Err(_) => Ok(region),
            Ok(()) => Err(de::Error::custom("this handle leads to an object, not to a region")),
        }
    }
}

impl Region {
    /// Any region, an arena too.
    pub(crate) fn received<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
        let index = u32::deserialize(deserializer)?;
        fd_table::with(index, Region::open).map_err(de::Error::custom)?.map_err(de::Error::custom)
    }
}

impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.fd.as_fd()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("fd", &self.inner.fd.as_raw_fd())
            .field("len", &self.len())
            .field("creator", &self.creator())
            .finish()
    }
}
