//! What lanes and bells are made of in a model: loom's atomics, and all else made of them.
//!
//! A thread can be made to [die](dying) at any of its steps: it never takes the next one, as a
//! process that is killed there.

pub(crate) use loom::sync::atomic::fence;

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::sync::atomic as real;
use loom::sync::{Condvar, Mutex};
use mp_shm::{Error, Kind};
use mp_sys::{Deadline, Errno};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// Looking twice would show nothing else.
pub(crate) const HAS_TIME: bool = false;
/// Each is one more word for loom to follow.
pub(crate) const CLAIMS: usize = 4;
/// Four frames with eight bytes each.
pub(crate) const BYTES_MIN: usize = 128;

pub(crate) fn fence_after_swap() {
    fence(Ordering::SeqCst);
}

loom::thread_local! {
    /// How many steps this thread has before it dies.
    static LEFT: Cell<u32> = Cell::new(u32::MAX);
}

/// Runs `work` on this thread, which dies after so many steps. `None` if it did not get to its end.
pub(crate) fn dying<R>(steps: u32, work: impl FnOnce() -> R) -> Option<R> {
    LEFT.with(|left| left.set(steps));
    let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    LEFT.with(|left| left.set(u32::MAX));
    match end {
        Ok(end) => Some(end),
        Err(panic) if panic.is::<Death>() => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

struct Death;

/// Before each step that others can see.
fn step() {
    LEFT.with(|left| match left.get() {
        0 => std::panic::resume_unwind(Box::new(Death)),
        u32::MAX => {}
        steps => left.set(steps - 1),
    });
}

/// A loom atomic of whose uses the thread may die.
macro_rules! atomic {
    ($name:ident, $number:ty) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name(real::$name);

        #[allow(dead_code, clippy::allow_attributes, reason = "not all is used of both widths")]
        impl $name {
            pub(crate) fn load(&self, order: Ordering) -> $number {
                step();
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $number, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            pub(crate) fn swap(&self, value: $number, order: Ordering) -> $number {
                step();
                self.0.swap(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                old: $number,
                new: $number,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$number, $number> {
                step();
                self.0.compare_exchange(old, new, success, failure)
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);

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
    step();
    let (mutex, condvar) = &*SLEEPERS;
    let mut sleepers = mutex.lock().unwrap();
    if word.0.load(Ordering::SeqCst) != expected {
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
    step();
    let (mutex, condvar) = &*SLEEPERS;
    let mut sleepers = mutex.lock().unwrap();
    let addr = (&raw const *word).addr();
    let asleep = sleepers.iter_mut().filter(|sleeper| sleeper.word == addr && !sleeper.woken);
    let woken = asleep.take(count as usize).map(|sleeper| sleeper.woken = true).count();
    condvar.notify_all();
    woken
}

/// A region of whose words and windows each is asked for once.
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

    pub(crate) fn words<T: Default>(&self, _: usize) -> Result<Placed<T>, Error> {
        Ok(Placed(Arc::new(T::default())))
    }

    pub(crate) fn window(&self, _: usize, len: usize) -> Result<Window, Error> {
        Ok(Window((0..len / 8).map(|_| AtomicU64::default()).collect()))
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

impl<T> Clone for Placed<T> {
    fn clone(&self) -> Placed<T> {
        Placed(Arc::clone(&self.0))
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Whole words, each of which is read and written by itself, in any order that Relaxed allows.
#[derive(Clone, Debug)]
pub(crate) struct Window(Arc<[AtomicU64]>);

impl Window {
    pub(crate) fn len(&self) -> usize {
        8 * self.0.len()
    }

    pub(crate) fn store(&self, at: usize, word: u64) -> Result<(), Error> {
        self.0[at / 8].store(word, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn write(&self, at: usize, from: &[u8]) -> Result<(), Error> {
        for (index, place, part) in words(at, from.len()) {
            let mut bytes = [0; 8];
            if part.len() < 8 {
                bytes = self.0[index].load(Ordering::Relaxed).to_le_bytes();
            }
            bytes[place..place + part.len()].copy_from_slice(&from[part]);
            self.0[index].store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn read(&self, at: usize, to: &mut [u8]) -> Result<(), Error> {
        for (index, place, part) in words(at, to.len()) {
            let bytes = self.0[index].load(Ordering::Relaxed).to_le_bytes();
            to[part.clone()].copy_from_slice(&bytes[place..place + part.len()]);
        }
        Ok(())
    }

    pub(crate) fn append(&self, at: usize, len: usize, to: &mut Vec<u8>) -> Result<(), Error> {
        let end = to.len();
        to.resize(end + len, 0);
        self.read(at, &mut to[end..])
    }
}

/// The words in which `len` bytes lie from `at` on: which word, where in it, and which bytes.
fn words(at: usize, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    (at / 8..(at + len).div_ceil(8)).map(move |index| {
        let (from, to) = ((8 * index).max(at), (8 * index + 8).min(at + len));
        (index, from - 8 * index, from - at..to - at)
    })
}
