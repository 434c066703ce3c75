//! mp-sync.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mp_sync::{Event, Mutex};

use super::{goal, record};
use crate::peers::floor::{self, Robust, futex_rtt};
use crate::peers::threads;
use crate::process::{Pin, pair, per_op, pin_to};
use crate::row::Row;

pub const ROWS: &[Row] = &[
    Row {
        name: "lock-uncontended",
        what: "lock, add one, unlock; one thread",
        pinned: "CPU 0",
        waits: "nobody waits",
        ours: uncontended,
        peers: &[
            goal("std-mutex", 1.2, threads::std_mutex),
            goal("pthread-robust", 0.9, robust_uncontended),
            record("parking_lot", threads::parking_lot_mutex),
        ],
    },
    Row {
        name: "lock-contended",
        what: "lock, add one, unlock as fast as both can; two processes; time for one, whoever did it",
        pinned: "CPUs 0 and 1",
        waits: "ours spins for a moment, then sleeps; pthread's sleeps at once",
        ours: contended,
        peers: &[goal("pthread-robust", 1.0, robust_contended)],
    },
    Row {
        name: "wake",
        what: "round trip of two events, each waking a sleeper; two processes",
        pinned: "CPUs 0 and 1",
        waits: "blocking",
        ours: wake,
        peers: &[goal("futex", 1.15, futex_rtt)],
    },
];

const LOCKS: usize = 10_000_000;
const CONTENDED: Duration = Duration::from_millis(400);
const WAKES: usize = 20_000;

fn uncontended() -> Result<f64, String> {
    pin_to(0);
    let mutex = Mutex::new(0_u64).map_err(|error| error.to_string())?;
    Ok(per_op(LOCKS, || {
        for _ in 0..LOCKS {
            *std::hint::black_box(&mutex).lock().expect("nobody died") += 1;
        }
    }))
}

fn robust_uncontended() -> Result<f64, String> {
    pin_to(0);
    let mutex = Robust::new();
    let mut count = 0_u64;
    Ok(per_op(LOCKS, || {
        for _ in 0..LOCKS {
            std::hint::black_box(&mutex).lock();
            *std::hint::black_box(&mut count) += 1;
            mutex.unlock();
        }
    }))
}

/// Both processes lock for as long as the sample lasts, from the same moment on; the time for one
/// lock and unlock, whoever did it.
fn both(lock_and_unlock: impl Fn()) -> f64 {
    // Nobody's, the second is there, the first is there too, the end.
    let (stage, done) = floor::two_words();
    let wait_for = |value| while stage.load(Ordering::Acquire) != value {};
    let second = || {
        stage.store(1, Ordering::Release);
        wait_for(2);
        while stage.load(Ordering::Relaxed) == 2 {
            lock_and_unlock();
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let first = || {
        wait_for(1);
        let (begin, mut locks) = (Instant::now(), 0);
        stage.store(2, Ordering::Release);
        while begin.elapsed() < CONTENDED {
            (0..1000).for_each(|_| lock_and_unlock());
            locks += 1000;
        }
        let time = begin.elapsed();
        let all = locks + done.load(Ordering::Relaxed);
        stage.store(3, Ordering::Release);
        time.as_nanos() as f64 / f64::from(all)
    };
    pair(Pin::Apart, second, first)
}

fn contended() -> Result<f64, String> {
    let mutex = Mutex::new(0_u64).map_err(|error| error.to_string())?;
    Ok(both(|| *mutex.lock().expect("nobody died") += 1))
}

fn robust_contended() -> Result<f64, String> {
    let mutex = Robust::new();
    let count = mp_shm::Value::new(0_u64).map_err(|error| error.to_string())?;
    Ok(both(|| {
        mutex.lock();
        count.store(count.load() + 1);
        mutex.unlock();
    }))
}

fn wake() -> Result<f64, String> {
    let event = || Event::new().map_err(|error| error.to_string());
    let (there, back) = (event()?, event()?);
    let turn = |mine: &Event, theirs: &Event| {
        mine.wait().expect("wait");
        mine.clear();
        theirs.set();
    };
    Ok(pair(
        Pin::Apart,
        || (0..WAKES).for_each(|_| turn(&there, &back)),
        || {
            per_op(WAKES, || {
                for _ in 0..WAKES {
                    there.set();
                    back.wait().expect("wait");
                    back.clear();
                }
            })
        },
    ))
}
