use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Once, Weak};

use mp_sys::fork::at_exit;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::named::{self, Name};
use crate::{Error, Kind, Window};

/// Shared memory with a name, by which unrelated processes find it.
///
/// Whatever can be handed over needs no name: [`Array`](crate::Array), [`Frozen`](crate::Frozen)
/// and [`Region`](crate::Region) travel in messages and leave nothing behind. A name is for
/// processes that have no connection to each other.
///
/// The process that made it owns the name: it is removed when the last of that process's handles
/// is dropped, and when the process ends. One that is killed cannot; then the kernel ends the lock
/// that it held, and the next process that looks removes the name: whoever attaches or makes one
/// of the same name, and the first [`create`](SharedMemory::create) or any
/// [`sweep`](SharedMemory::sweep) for all of them. So there is no janitor process, which could be
/// killed too. Who only attached never removes anything, however it ends. The bytes stay for those
/// who have them attached.
///
/// It dereferences to a [`Window`], through which bytes are copied in and out. The name is that of
/// a file `/dev/shm/mp.NAME` with mode 0600. Handles travel by name.
///
/// Python: `multiprocessing.shared_memory.SharedMemory`, without a resource tracker.
///
/// # Examples
///
/// ```
/// use mp_shm::{Error, SharedMemory};
///
/// let memory = SharedMemory::create(None, 100)?;
/// let other = SharedMemory::attach(memory.name())?;
/// memory.write(95, b"hello")?;
/// let mut bytes = [0; 5];
/// other.read(95, &mut bytes)?;
/// assert_eq!((&bytes, other.size()), (b"hello", 100), "the exact size, not a page");
/// assert_eq!(other.unlink(), Err(Error::NotCreator));
///
/// let name = memory.name().to_owned();
/// drop(memory);
/// assert_eq!(SharedMemory::attach(&name).unwrap_err(), Error::NotFound);
/// other.read(95, &mut bytes)?;
/// # Ok::<(), Error>(())
/// ```
///
/// A view does not outlive the mapping:
///
/// ```compile_fail,E0597
/// use std::sync::atomic::{AtomicU32, Ordering};
/// let word: &AtomicU32 = {
///     let memory = mp_shm::SharedMemory::create(None, 8).unwrap();
///     memory.word(0).unwrap()
/// };
/// word.load(Ordering::Relaxed);
/// ```
///
/// There is no slice of bytes that others may write:
///
/// ```compile_fail,E0608
/// let memory = mp_shm::SharedMemory::create(None, 8).unwrap();
/// let byte: &u8 = &memory[0];
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    inner: Arc<Inner>,
}

struct Inner {
    name: Name,
    window: Window,
    /// The process that removes the name; 0 if this handle was attached.
    creator: u32,
    linked: AtomicBool,
}

/// What this process, or one that it was forked from, has made: to be removed at exit.
static CREATED: LazyLock<Mutex<HashMap<usize, Weak<Inner>>>> = LazyLock::new(Mutex::default);

impl SharedMemory {
    /// Makes memory of exactly `size` bytes, all zero, under a name: a random one for `None`.
    ///
    /// The first call in a process also [sweeps](SharedMemory::sweep).
    ///
    /// Python: `SharedMemory(name, create=True, size=size)`
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if a living process has this name; [`Error::NameLength`] or
    /// [`Error::NameByte`] if it cannot be one; [`Error::NoRoom`] if `/dev/shm` or the machine is
    /// too full; [`Error::NoFolder`] without a `/dev/shm`; [`Error::Empty`] for 0 bytes.
    pub fn create(name: Option<&str>, size: usize) -> Result<SharedMemory, Error> {
        SharedMemory::create_as(name, size, Kind::NAMED)
    }

    pub(crate) fn create_as(name: Option<&str>, size: usize, kind: Kind) -> Result<Self, Error> {
        if size == 0 {
            return Err(Error::Empty);
        }
        static FIRST: Once = Once::new();
        FIRST.call_once(|| {
            // Neither failing is a reason to make nothing: the next process sweeps again.
            at_exit(unlink_all);
            let _ = named::sweep();
        });
        let (name, region) = loop {
            let chosen = name.map_or_else(Name::random, Name::new)?;
            match named::create(&chosen, kind, size, 0) {
                // A random name that is taken already: another one.
                Err(Error::Exists) if name.is_none() => {}
                region => break (chosen, region?),
            }
        };
        let (window, creator) = (region.window(0, size)?, std::process::id());
        let inner = Arc::new(Inner { name, window, creator, linked: AtomicBool::new(true) });
        if let Ok(mut created) = CREATED.lock() {
            created.insert(Arc::as_ptr(&inner).addr(), Arc::downgrade(&inner));
        }
        Ok(SharedMemory { inner })
    }

    /// Attaches the memory that another process has made under `name`.
    ///
    /// Python: `SharedMemory(name, track=False)`
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if nobody has made it, or its creator has ended; [`Error::Os`] with
    /// `EACCES` if another user has made it, whatever the file's mode; otherwise as
    /// [`create`](SharedMemory::create), and as [`Region::attach`](crate::Region::attach) for a
    /// file that we have not made. Failing removes nothing that is alive.
    pub fn attach(name: &str) -> Result<SharedMemory, Error> {
        SharedMemory::attach_as(name, Kind::NAMED)
    }

    pub(crate) fn attach_as(name: &str, kind: Kind) -> Result<SharedMemory, Error> {
        let name = Name::new(name)?;
        let region = named::attach(&name, kind, 0)?;
        let window = region.window(0, region.len())?;
        let inner = Inner { name, window, creator: 0, linked: AtomicBool::new(false) };
        Ok(SharedMemory { inner: Arc::new(inner) })
    }

    /// The name, without what is put before it in `/dev/shm`.
    pub fn name(&self) -> &str {
        self.inner.name.as_str()
    }

    /// The number of bytes, as it was asked for.
    pub fn size(&self) -> usize {
        self.inner.window.len()
    }

    /// Removes the name before its time. Who has the memory attached keeps it.
    ///
    /// # Errors
    ///
    /// [`Error::NotCreator`] in any process but the one that made it; [`Error::NotFound`] the
    /// second time.
    pub fn unlink(&self) -> Result<(), Error> {
        self.inner.unlink()
    }

    /// Removes all names whose creators have ended without doing so, and returns them.
    ///
    /// # Errors
    ///
    /// [`Error::NoFolder`] without a `/dev/shm`, [`Error::Os`] if it cannot be read.
    pub fn sweep() -> Result<Vec<String>, Error> {
        named::sweep()
    }
}

impl Inner {
    fn unlink(&self) -> Result<(), Error> {
        // A forked child has the handle too, but it is not the creator.
        if self.creator != std::process::id() {
            return Err(Error::NotCreator);
        }
        // Relaxed: only one thread of the creator gets past here, and nothing else depends on it.
        if !self.linked.swap(false, Ordering::Relaxed) {
            return Err(Error::NotFound);
        }
        named::unlink(&self.name, self.window.region())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.creator != 0
            && let Ok(mut created) = CREATED.lock()
        {
            created.remove(&std::ptr::from_ref(self).addr());
        }
        // Not ours, or gone already: both are fine.
        let _ = self.unlink();
    }
}

/// At exit: handles in statics, leaked ones, and those of threads that are still running.
extern "C" fn unlink_all() {
    // A thread that holds the lock at this moment leaves the names to the next who looks.
    let Ok(created) = CREATED.try_lock() else { return };
    for inner in created.values() {
        // Raw, not an `Arc`: dropping one here could take the lock again.
        let inner = inner.upgrade().map(std::mem::ManuallyDrop::new);
        let _ = inner.map(|inner| inner.unlink());
    }
}

impl Deref for SharedMemory {
    type Target = Window;

    fn deref(&self) -> &Window {
        &self.inner.window
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("name", &self.name())
            .field("size", &self.size())
            .field("creator", &self.inner.window.region().creator())
            .finish()
    }
}

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedMemory, D::Error> {
        let name = String::deserialize(deserializer)?;
        SharedMemory::attach(&name).map_err(de::Error::custom)
    }
}
