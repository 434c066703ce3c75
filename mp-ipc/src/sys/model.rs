//! What the ring is made of in a model: loom's atomics, and all else made of them.
#![expect(unsafe_code, reason = "the same signatures as those of the real parts")]

pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, fence};

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::Ordering;

use loom::sync::{Arc, Condvar, Mutex};
use mp_shm::{Error, Kind};
use mp_sync::Acquired;
use mp_sys::{Deadline, Errno};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// So small that a few records go around it.
pub(crate) const BYTES_MIN: usize = 64;
/// Each is one more word for loom to follow.
pub(crate) const OWNERS: usize = 2;

pub(crate) fn fence_after_unlock() {
    fence(Ordering::SeqCst);
}

/// One that sleeps: on which word, and whether it has been woken.
struct Sleeper {
    word: usize,
    woken: bool,
}

loom::lazy_static! {
    static ref SLEEPERS: (Mutex<Vec<Sleeper>>, Condvar) = Default::default();
}

/// Deadlines do not exist in the model: a wake that is lost is a deadlock, which loom reports.
pub(crate) fn wait(
    word: &AtomicU32,
    expected: u32,
    _deadline: Option<Deadline>,
) -> Result<(), Errno> {
    let (mutex, condvar) = &*SLEEPERS;
    let mut sleepers = mutex.lock().unwrap();
    if word.load(Ordering::SeqCst) != expected {
        return Ok(());
    }
    let me = sleepers.len();
    sleepers.push(Sleeper { word: (&raw const *word).addr(), woken: false });
    while !sleepers[me].woken {
        sleepers = condvar.wait(sleepers).unwrap();
    }
    Ok(())
}

pub(crate) fn wake(word: &AtomicU32, count: u32) -> usize {
    let (mutex, condvar) = &*SLEEPERS;
    let mut sleepers = mutex.lock().unwrap();
    let addr = (&raw const *word).addr();
    let asleep = sleepers.iter_mut().filter(|sleeper| sleeper.word == addr && !sleeper.woken);
    let woken = asleep.take(count as usize).map(|sleeper| sleeper.woken = true).count();
    condvar.notify_all();
    woken
}

/// A region with one object and one window, each of which is asked for once.
#[derive(Clone, Debug)]
pub(crate) struct Region(usize);

impl Region {
    pub(crate) fn create(_: Kind, len: usize, _: u64) -> Result<Region, Error> {
        Ok(Region(len))
    }

    pub(crate) fn expect(self, _: Kind, _: u64) -> Result<Region, Error> {
        Ok(self)
    }

    pub(crate) fn len(&self) -> usize {
        self.0
    }

    /// # Safety
    ///
    /// None here.
    pub(crate) unsafe fn place<T: Default>(&self, _: usize) -> Result<Placed<T>, Error> {
        Ok(Placed(Arc::new(T::default())))
    }

    pub(crate) fn window(&self, _: usize, len: usize) -> Result<Window, Error> {
        Ok(Window((0..len / 8).map(|_| AtomicU64::new(0)).collect()))
    }
}

// A model stays in its process.
impl Serialize for Region {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("a model"))
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Region, D::Error> {
        Err(de::Error::custom("a model"))
    }
}

#[derive(Debug)]
pub(crate) struct Placed<T>(Arc<T>);

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Whole words, each of which is read and written by itself, in any order that Relaxed allows.
pub(crate) struct Window(Vec<AtomicU64>);

impl Window {
    pub(crate) fn prefetch_store(&self, _: usize) {}

    pub(crate) fn load(&self, at: usize) -> Result<u64, Error> {
        Ok(self.0[at / 8].load(Ordering::Relaxed))
    }

    pub(crate) fn store(&self, at: usize, word: u64) -> Result<(), Error> {
        self.0[at / 8].store(word, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn write(&self, at: usize, from: &[u8]) -> Result<(), Error> {
        for (index, bytes) in from.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.store(at + 8 * index, u64::from_le_bytes(word))?;
        }
        Ok(())
    }

    pub(crate) fn append(&self, at: usize, len: usize, to: &mut Vec<u8>) -> Result<(), Error> {
        let end = to.len() + len;
        for index in 0..len.div_ceil(8) {
            to.extend(self.load(at + 8 * index)?.to_le_bytes());
        }
        to.truncate(end);
        Ok(())
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Window")
    }
}

/// A lock of which every thread gets its turn. What is done under it is ordered by it.
#[derive(Debug, Default)]
pub(crate) struct RawMutex {
    held: Mutex<bool>,
    freed: Condvar,
}

impl RawMutex {
    /// # Safety
    ///
    /// None here.
    pub(crate) unsafe fn lock_until(
        &self,
        _: Option<Deadline>,
    ) -> Result<Acquired, mp_sync::Error> {
        let mut held = self.held.lock().unwrap();
        while *held {
            held = self.freed.wait(held).unwrap();
        }
        *held = true;
        Ok(Acquired::Clean)
    }

    /// # Safety
    ///
    /// None here.
    pub(crate) unsafe fn try_lock(&self) -> Result<Option<Acquired>, mp_sync::Error> {
        let mut held = self.held.lock().unwrap();
        Ok((!std::mem::replace(&mut *held, true)).then_some(Acquired::Clean))
    }

    pub(crate) fn unlock(&self) {
        *self.held.lock().unwrap() = false;
        self.freed.notify_one();
    }
}
