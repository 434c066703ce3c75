//! Every interleaving of two or three threads, and every step at which one of them can die.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p mp-sync --release --lib`
#![expect(unsafe_code, reason = "the raw calls; in the model nothing is ever unmapped")]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::raw::{RawBarrier, RawCondvar, RawEvent, RawMutex, RawRwLock, RawSemaphore};
use crate::sys::model::mortal;
use crate::sys::{AtomicU32, Ordering};
use crate::{Acquired, Error};

/// At how many steps a thread is killed in turn; a life has fewer.
const STEPS: u32 = 14;

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Runs the model for each step at which somebody can die.
fn explore_deaths(preemptions: usize, model: impl Fn(u32) + Sync + Send + Copy + 'static) {
    for steps in 0..STEPS {
        explore(preemptions, move || model(steps));
    }
}

struct Guarded {
    lock: RawMutex,
    data: UnsafeCell<u32>,
    reported: AtomicU32,
}

// SAFETY: `data` is reached under `lock`, which is what the models check.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

impl Guarded {
    fn new() -> Arc<Guarded> {
        Arc::new(Guarded {
            lock: RawMutex::new(),
            data: UnsafeCell::new(0),
            reported: AtomicU32::new(0),
        })
    }

    fn lock(&self) {
        // SAFETY: nothing is unmapped.
        if unsafe { self.lock.lock_until(None) }.unwrap() == Acquired::OwnerDied {
            self.reported.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Loom fails the model if two threads are in here.
    fn add(&self) {
        self.lock();
        // SAFETY: under the lock.
        self.data.with_mut(|data| unsafe { *data += 1 });
        self.lock.unlock();
    }
}

#[test]
fn mutex_excludes() {
    explore(3, || {
        let guarded = Guarded::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let guarded = guarded.clone();
                thread::spawn(move || guarded.add())
            })
            .collect();
        guarded.add();
        others.into_iter().for_each(|other| other.join().unwrap());
        guarded.lock();
        // SAFETY: under the lock.
        assert_eq!(guarded.data.with(|data| unsafe { *data }), 3);
        guarded.lock.unlock();
    });
}

#[test]
fn mutex_outlives_its_holder() {
    explore_deaths(2, |steps| {
        let guarded = Guarded::new();
        let (first, second) = (guarded.clone(), guarded.clone());
        let mortal_one = thread::spawn(move || mortal(steps, || first.add()));
        let other = thread::spawn(move || second.add());
        guarded.add();
        let died = mortal_one.join().unwrap();
        other.join().unwrap();
        guarded.add();
        let reported = guarded.reported.load(Ordering::SeqCst);
        assert!(reported <= u32::from(died), "one report at most for a death");
    });
}

#[test]
fn event_lets_go() {
    explore(3, || {
        let event = Arc::new(RawEvent::new());
        let same = event.clone();
        let waiter = thread::spawn(move || same.wait_until(None).unwrap());
        event.set();
        waiter.join().unwrap();
        assert!(event.is_set());
        event.clear();
        assert!(!event.is_set());
    });
}

#[test]
fn event_set_by_one_who_dies() {
    explore_deaths(3, |steps| {
        let event = Arc::new(RawEvent::new());
        let (first, second) = (event.clone(), event.clone());
        let mortal_one = thread::spawn(move || mortal(steps, || first.set()));
        let waiter = thread::spawn(move || second.wait_until(None).unwrap());
        if mortal_one.join().unwrap() {
            event.set(); // Somebody else comes along.
        }
        waiter.join().unwrap();
    });
}

#[test]
fn condvar_misses_no_notification() {
    explore(3, || {
        let (guarded, condvar) = (Guarded::new(), Arc::new(RawCondvar::new()));
        let (same, other) = (guarded.clone(), condvar.clone());
        let waiter = thread::spawn(move || {
            same.lock();
            // SAFETY: under the lock.
            while same.data.with(|data| unsafe { *data }) == 0 {
                let generation = other.generation();
                same.lock.unlock();
                other.sleep(generation, None).unwrap();
                same.lock();
            }
            same.lock.unlock();
        });
        guarded.add();
        condvar.notify(1);
        waiter.join().unwrap();
    });
}

struct Rw {
    lock: RawRwLock<1>,
    data: UnsafeCell<u32>,
}

// SAFETY: `data` is reached under `lock`, which is what the models check.
unsafe impl Sync for Rw {}
// SAFETY: as above.
unsafe impl Send for Rw {}

impl Rw {
    fn read(&self) -> u32 {
        // SAFETY: nothing is unmapped.
        let (read, _) = unsafe { self.lock.read_until(None) }.unwrap();
        // SAFETY: under the lock.
        let value = self.data.with(|data| unsafe { *data });
        self.lock.unlock_read(read);
        value
    }

    fn write(&self) {
        // SAFETY: nothing is unmapped.
        let _ = unsafe { self.lock.write_until(None) }.unwrap();
        // SAFETY: under the lock.
        self.data.with_mut(|data| unsafe { *data += 1 });
        self.lock.unlock_write();
    }
}

fn rw() -> Arc<Rw> {
    Arc::new(Rw { lock: RawRwLock::new(), data: UnsafeCell::new(0) })
}

/// One slot, so that of two readers one reads alone.
#[test]
fn rwlock_excludes() {
    explore(2, || {
        let lock = rw();
        let (first, second) = (lock.clone(), lock.clone());
        let reader = thread::spawn(move || first.read());
        let writer = thread::spawn(move || second.write());
        lock.read();
        reader.join().unwrap();
        writer.join().unwrap();
        assert_eq!(lock.read(), 1);
    });
}

#[test]
fn rwlock_outlives_its_readers_and_writers() {
    for writes in [true, false] {
        for steps in 0..STEPS {
            explore(2, move || {
                let lock = rw();
                let same = lock.clone();
                let life = move || if writes { same.write() } else { assert!(same.read() <= 2) };
                let mortal_one = thread::spawn(move || mortal(steps, life));
                lock.write();
                mortal_one.join().unwrap();
                lock.write();
                lock.read();
            });
        }
    }
}

#[test]
fn semaphore_gives_each_permit_once() {
    explore(2, || {
        let semaphore = Arc::new(RawSemaphore::<2>::new());
        semaphore.add(1, 1).unwrap();
        let data = Arc::new(UnsafeCell::new(0_u32));
        let work = |semaphore: &RawSemaphore<2>, data: &UnsafeCell<u32>| {
            // SAFETY: nothing is unmapped.
            let entry = unsafe { semaphore.acquire_until(None) }.unwrap();
            // SAFETY: there is one permit.
            data.with_mut(|data| unsafe { *data += 1 });
            semaphore.give_back(entry);
        };
        let (same, other_data) = (semaphore.clone(), data.clone());
        let other = thread::spawn(move || work(&same, &other_data));
        work(&semaphore, &data);
        other.join().unwrap();
        assert_eq!(semaphore.value(), 1);
    });
}

#[test]
fn permits_of_the_dead_come_back() {
    explore_deaths(2, |steps| {
        let semaphore = Arc::new(RawSemaphore::<2>::new());
        semaphore.add(1, 1).unwrap();
        let same = semaphore.clone();
        let mortal_one = thread::spawn(move || {
            mortal(steps, || {
                // SAFETY: nothing is unmapped.
                let entry = unsafe { same.acquire_until(None) }.unwrap();
                same.give_back(entry);
            })
        });
        // SAFETY: nothing is unmapped.
        let entry = unsafe { semaphore.acquire_until(None) }.unwrap();
        semaphore.give_back(entry);
        mortal_one.join().unwrap();
        assert_eq!(semaphore.value(), 1);
    });
}

fn meet(barrier: &RawBarrier<2>) -> Result<usize, Error> {
    // SAFETY: nothing is unmapped.
    let arrival = unsafe { barrier.arrive(None) }?;
    let met = match arrival.is_last {
        true => barrier.release(&arrival),
        false => barrier.wait(&arrival, None),
    };
    barrier.leave(&arrival);
    met.map(|()| arrival.index)
}

#[test]
fn barrier_meets_twice() {
    explore(2, || {
        let barrier = Arc::new(RawBarrier::<2>::new(2));
        let same = barrier.clone();
        let other = thread::spawn(move || [meet(&same).unwrap(), meet(&same).unwrap()]);
        let mine = [meet(&barrier).unwrap(), meet(&barrier).unwrap()];
        let theirs = other.join().unwrap();
        assert_eq!([mine[0] + theirs[0], mine[1] + theirs[1]], [1, 1]);
    });
}

/// A party that dies after it has come breaks the meeting or has met; one that dies before it came
/// is nobody's party, and the other one would wait for ever: that one is not modelled.
#[test]
fn barrier_breaks_at_a_death() {
    explore_deaths(2, |steps| {
        let barrier = Arc::new(RawBarrier::<2>::new(2));
        let same = barrier.clone();
        let mortal_one = thread::spawn(move || {
            let died = mortal(steps, || {
                let _ = meet(&same);
            });
            if died {
                same.abort(); // For the case that it had not come.
            }
        });
        let _ = meet(&barrier);
        mortal_one.join().unwrap();
    });
}
