use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use mp_sys::Deadline;
use mp_sys::robust::{List, Node};

use crate::child::Child;
use crate::shared::{lock, shared, unlock};

#[repr(C)]
struct Guarded {
    node: Node,
    /// Written one after the other by the holder; they differ only if it was killed in between.
    first: AtomicU64,
    second: AtomicU64,
    died: AtomicU64,
    torn: AtomicU64,
}

/// Story: four processes take and give back one lock as fast as they can, and are killed at random
/// instants, so at every instruction of the protocol sooner or later. Nobody ever waits for a dead
/// one, no two hold the lock at once, and what was left half done is found only by one who is told.
pub(crate) fn kills_at_random() {
    let seconds = std::env::var("MP_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Deadline::after(Duration::from_secs_f64(seconds.unwrap_or(1.0)));
    let guarded: &Guarded = shared();
    let mut kills = 0_u64;
    let mut children: Vec<Child> = (0..4).map(|_| start(guarded)).collect();
    while !end.has_passed() {
        let before = guarded.second.load(Relaxed);
        std::thread::sleep(Duration::from_micros(kills * 7919 % 1500));
        let victim = (kills % 4) as usize;
        children[victim].kill();
        children[victim] = start(guarded);
        kills += 1;
        // The others go on, whatever the victim held.
        crate::child::until(|| guarded.second.load(Relaxed) != before);
    }
    drop(children);
    lock(&guarded.node);
    unlock(&guarded.node);
    let [died, torn] = [&guarded.died, &guarded.torn].map(|count| count.load(Relaxed));
    let turns = guarded.second.load(Relaxed);
    eprintln!("{kills} kills, {turns} turns, {died} dead holders, of which {torn} in mid-work");
    assert!(torn <= died);
}

fn start(guarded: &'static Guarded) -> Child {
    Child::start(move || {
        loop {
            let died = lock(&guarded.node);
            guarded.died.fetch_add(died.into(), Relaxed);
            let (first, second) = (guarded.first.load(Relaxed), guarded.second.load(Relaxed));
            if first != second {
                assert!(died, "half done, and nobody died: two hold the lock");
                guarded.torn.fetch_add(1, Relaxed);
            }
            let next = first.max(second) + 1;
            guarded.first.store(next, Relaxed);
            guarded.second.store(next, Relaxed);
            unlock(&guarded.node);
            assert_eq!(List::current().unwrap().held(), 0);
        }
    })
}
