//! Descriptors and maps return to where they were.

use mp_sync::{
    Barrier, BoundedSemaphore, Condvar, Event, Mutex, Parts, ReentrantMutex, RwLock, Semaphore,
};

const CYCLES: usize = 10_000;

fn open() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let shared = maps.lines().filter(|line| line.contains("memfd:mp")).count();
    (std::fs::read_dir("/proc/self/fd").unwrap().count(), shared)
}

/// The other tests of this binary have objects of their own, so a few more or less are theirs.
fn cycle(name: &str, use_one: impl Fn()) {
    use_one();
    let before = open();
    for _ in 0..CYCLES {
        use_one();
    }
    let after = open();
    assert!(after.0 < before.0 + 100 && after.1 < before.1 + 100, "{name}: {before:?} {after:?}");
}

#[test]
fn ten_thousand_of_each() {
    cycle("Mutex", || drop(Mutex::new(1_u32).unwrap().lock().unwrap()));
    cycle("ReentrantMutex", || drop(ReentrantMutex::new(1_u32).unwrap().lock().unwrap()));
    cycle("RwLock", || {
        let lock = RwLock::new(1_u32).unwrap();
        drop(lock.read().unwrap());
        drop(lock.write().unwrap());
    });
    cycle("Semaphore", || drop(Semaphore::new(1).unwrap().acquire().unwrap()));
    cycle("BoundedSemaphore", || drop(BoundedSemaphore::new(1).unwrap().acquire().unwrap()));
    cycle("Condvar", || Condvar::new().unwrap().notify_all());
    cycle("Event", || Event::new().unwrap().set());
    cycle("Barrier", || assert_eq!(Barrier::new(1).unwrap().wait(), Ok(0)));
    cycle("Parts", || drop(Parts::<u8>::new(10, 2).unwrap().claim(1).unwrap()));
}
