//! Objects whose memory another process scribbles over, locks and links and all, while nobody has
//! anything of them: each call ends by its deadline, with an error or with something.
//!
//! Two things are trusted, as of any robust mutex: whoever may write there does not do it to a lock
//! that somebody holds, and gives none to a thread that does not hold it. The holder's links lead
//! its C library, and its kernel, through its own memory.

use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use mp_sync::{
    Barrier, BoundedSemaphore, Condvar, Error, Event, LockError, Mutex, ReentrantMutex, RwLock,
    Semaphore,
};
use proptest::prelude::*;

use crate::scribble::memory;

const BRIEFLY: Duration = Duration::from_micros(300);
/// How long a call may be over its deadline: other tests are at work.
const SLACK: Duration = Duration::from_secs(2);

/// What is written: where, as a part of the object, and what.
type Scribble = (u16, u32);

fn scribbles() -> impl Strategy<Value = Vec<Scribble>> {
    // No thread has an id this small in a test, nor this large.
    let holder = prop_oneof![Just(0), 1..4_u32, 1_u32 << 29..1 << 30];
    let word = (holder, 0..4_u32).prop_map(|(tid, bits)| tid | bits << 30);
    // Half of them where an object begins: its lock, its links, its counts.
    let place = prop_oneof![0..20_u16, any::<u16>()];
    prop::collection::vec((place, word), 0..12)
}

fn in_time<R>(what: &str, call: impl FnOnce() -> R) {
    let start = Instant::now();
    drop(call());
    let took = start.elapsed();
    assert!(took < BRIEFLY + SLACK, "{what} took {took:?}");
}

fn run(all: &[Vec<Scribble>]) {
    let mutex = Mutex::new(0_u64).unwrap();
    let reentrant = ReentrantMutex::new(0_u64).unwrap();
    let rwlock = RwLock::new(0_u64).unwrap();
    let semaphore = Semaphore::new(2).unwrap();
    let bounded = BoundedSemaphore::new(1).unwrap();
    let (condvar, event, barrier) =
        (Condvar::new().unwrap(), Event::new().unwrap(), Barrier::new(2).unwrap());
    // With the bytes that `docs/layout.md` gives them.
    let memories = [
        (memory(&mutex), 48),
        (memory(&reentrant), 56),
        (memory(&rwlock), 1592),
        (memory(&semaphore), 3648),
        (memory(&bounded), 3652),
        (memory(&condvar), 4),
        (memory(&event), 4),
        (memory(&barrier), 12344),
    ];
    for round in all.chunks(memories.len()) {
        for (((file, begin), bytes), scribbles) in memories.iter().zip(round) {
            for (place, word) in scribbles {
                let at = u64::from(*place) * 4 % bytes;
                file.write_all_at(&word.to_le_bytes(), begin + at).unwrap();
            }
        }
        in_time("mutex", || mutex.lock_timeout(BRIEFLY).map(drop).is_ok());
        in_time("reentrant", || {
            let outer = reentrant.lock_timeout(BRIEFLY).or_else(LockError::recover);
            let inner = reentrant.lock_timeout(BRIEFLY).map(drop).is_ok();
            (inner, outer.map(drop).is_ok())
        });
        in_time("write", || rwlock.write_timeout(BRIEFLY).map(drop).is_ok());
        in_time("read", || rwlock.read_timeout(BRIEFLY).map(drop).is_ok());
        in_time("semaphore", || {
            let permits = [(); 3].map(|()| semaphore.acquire_timeout(BRIEFLY));
            (semaphore.release(1).is_ok(), permits.map(drop))
        });
        in_time("bounded", || {
            drop(bounded.acquire_timeout(BRIEFLY));
            bounded.release(1).is_ok()
        });
        in_time("condvar", || {
            condvar.notify_all();
            let guard = mutex.lock_timeout(BRIEFLY).or_else(LockError::recover)?;
            drop(condvar.wait_timeout(guard, BRIEFLY));
            Ok::<(), Error>(())
        });
        in_time("event", || {
            let waited = event.wait_timeout(BRIEFLY);
            event.set();
            event.clear();
            waited
        });
        in_time("barrier", || {
            let met = barrier.wait_timeout(BRIEFLY);
            barrier.reset();
            (met, barrier.waiting(), barrier.is_broken())
        });
        let _ = format!("{mutex:?} {reentrant:?} {rwlock:?} {semaphore:?} {bounded:?} {barrier:?}");
    }
}

proptest! {
    #[test]
    fn calls_on_scribbled_locks_end_by_their_deadlines(
        all in prop::collection::vec(scribbles(), 8..64),
    ) {
        let (done, ended) = mpsc::channel::<()>();
        let runner = thread::spawn(move || {
            run(&all);
            drop(done);
        });
        let hangs = ended.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout);
        prop_assert!(!hangs, "it hangs");
        prop_assert!(runner.join().is_ok(), "it has panicked");
    }
}
