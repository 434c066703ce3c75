//! Objects whose memory another process scribbles over, between any two calls: every call still
//! ends, with an error or with something.
//!
//! Locks are left alone: a word that says that somebody holds the lock who does not is a lock that
//! is held; and the links beside it, and how often a thread has it or how many permits, belong to
//! the thread that holds it. Who may write there is trusted: no lock could outlive its holder
//! otherwise.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use mp_sync::{
    Barrier, BoundedSemaphore, Condvar, Event, LockError, Mutex, ReentrantMutex, RwLock, Semaphore,
};
use serde::Serialize;

const SOON: Duration = Duration::from_micros(50);
/// Where a region's payload begins.
const PAYLOAD: u64 = 64;

/// An object's memory, as another process has it, and where the object lies in it.
pub(crate) fn memory(object: &impl Serialize) -> (File, u64) {
    let (bytes, fds) = mp_sys::fd_table::collect(|| postcard::to_stdvec(object).unwrap());
    let (_, offset): (u32, u64) = postcard::take_from_bytes(&bytes).unwrap().0;
    (File::from(fds.into_iter().next().unwrap()), PAYLOAD + offset)
}

/// Calls and scribbles as `bytes` say, five for each step.
pub(crate) fn run(bytes: &[u8]) {
    let mutex = Mutex::new(0_u64).unwrap();
    let reentrant = ReentrantMutex::new(0_u64).unwrap();
    let rwlock = RwLock::new(0_u64).unwrap();
    let semaphore = Semaphore::new(2).unwrap();
    let bounded = BoundedSemaphore::new(1).unwrap();
    let (condvar, event) = (Condvar::new().unwrap(), Event::new().unwrap());
    let (barrier, meeting) = (Barrier::new(1).unwrap(), Barrier::new(2).unwrap());
    let memories = [
        memory(&mutex),
        memory(&reentrant),
        memory(&rwlock),
        memory(&semaphore),
        memory(&bounded),
        memory(&condvar),
        memory(&event),
        memory(&barrier),
        memory(&meeting),
    ];
    // The words that are no locks, by object (`docs/layout.md`).
    let words: [&[u64]; 9] = [
        &[48],
        &[56],
        &[48, 52, 1592],
        &[48, 52, 56, 60],
        &[48, 52, 56, 60],
        &[0],
        &[0],
        &[48, 52],
        &[48, 52],
    ];
    let (mut permits, mut reading, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for step in bytes.chunks_exact(5) {
        let [op, which, a, b, c] = *step else { continue };
        match op % 16 {
            0 => drop(mutex.lock_timeout(SOON)),
            1 => again.extend(reentrant.lock_timeout(SOON).or_else(LockError::recover)),
            2 => drop(again.pop()),
            3 => reading.extend(rwlock.read_timeout(SOON).or_else(LockError::recover)),
            4 => drop(reading.pop()),
            5 => drop(rwlock.write_timeout(SOON)),
            6 => permits.extend(semaphore.acquire_timeout(SOON)),
            7 => permits.extend(bounded.try_acquire()),
            8 => match permits.pop() {
                Some(permit) if a & 1 == 0 => permit.forget(),
                permit => drop(permit),
            },
            9 => drop((semaphore.release(u32::from(a)), bounded.release(u32::from(b)))),
            10 => {
                if let Ok(guard) = mutex.lock_timeout(SOON).or_else(LockError::recover) {
                    drop(condvar.wait_timeout(guard, SOON));
                }
                condvar.notify(usize::from(a));
            }
            11 => {
                let _ = event.wait_timeout(SOON);
                if a & 1 == 0 { event.set() } else { event.clear() }
            }
            12 => drop((barrier.wait_timeout(SOON), meeting.wait_timeout(SOON))),
            13 if a & 1 == 0 => meeting.reset(),
            13 => barrier.abort(),
            _ => {
                let at = usize::from(which) % memories.len();
                let word = words[at][usize::from(a) % words[at].len()];
                let value = match b % 4 {
                    0 => u32::from(c),
                    1 => u32::MAX - u32::from(c),
                    2 => i32::MAX as u32 + u32::from(c) - 1,
                    _ => u32::from(c) << 24 | u32::from(a),
                };
                let (file, offset) = &memories[at];
                file.write_all_at(&value.to_le_bytes(), offset + word).unwrap();
            }
        }
        let _ = format!("{mutex:?} {reentrant:?} {rwlock:?} {semaphore:?} {bounded:?} {barrier:?}");
        let _ = (semaphore.value(), barrier.waiting(), barrier.is_broken(), event.is_set());
    }
}
