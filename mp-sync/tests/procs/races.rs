//! Killing at random.
//!
//! The story: four workers hammer one object; the test kills one of them at a random moment, at
//! whatever instruction it has reached, starts another one in its place, and goes on. Two things
//! must never happen: that an invariant breaks (two in the lock, a death reported twice or not at
//! all), and that the others stop for longer than a moment. Each suite runs for `MP_RACE_SECONDS`
//! (one second if unset), or until `MP_RACE_KILLS` kills, and prints its figures.

use std::time::{Duration, Instant};

use mp_sync::{
    Barrier, BoundedSemaphore, Condvar, Event, LockError, Mutex, ReentrantMutex, RwLock, Semaphore,
};

use crate::crew::{Board, Child, child};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("race_mutex", mutex),
    ("race_mutex_slow", mutex_slow),
    ("race_reentrant_mutex", reentrant_mutex),
    ("race_rwlock", rwlock),
    ("race_semaphore", semaphore),
    ("race_bounded_semaphore", bounded_semaphore),
    ("race_condvar", condvar),
    ("race_event", event),
    ("race_barrier", barrier),
];

const WORKERS: usize = 4;
/// What a death may cost the others. One in a hundred may take longer, and not longer than ten
/// seconds: on a machine with other work nobody may have had a cpu.
const RECOVERY: Duration = Duration::from_millis(100);

// Places on the board.
pub(crate) const PROGRESS: usize = 0;
const INSIDE: usize = 1;
const DEATHS_SEEN: usize = 2;
const DEATHS_DUE: usize = 3;
const FLAG: usize = 4;

/// The others stand still if they have not gone on after this long.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Pseudo-random numbers (xorshift), so that a run needs nothing but a seed.
pub(crate) struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Random(time.as_nanos() as u64 ^ (seed << 32) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

pub(crate) struct Report {
    kills: u32,
    /// Recoveries that took longer than [`RECOVERY`].
    late: u32,
    worst: Duration,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Lets workers run `step` for ever, kills and replaces one after the other, and measures how long
/// each time it took until `PROGRESS` moved again.
fn race(name: &str, board: &Board, step: impl Fn(&mut Random)) -> Report {
    race_of(name, board, Replace::Later, STANDSTILL, |_, random| step(random))
}

/// When another worker takes the place of the dead one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    /// Before anybody else has gone on: where the others need their number.
    AtOnce,
    /// Once the others have gone on without it.
    Later,
}

pub(crate) fn race_of(
    name: &str,
    board: &Board,
    replace: Replace,
    standstill: Duration,
    step: impl Fn(usize, &mut Random),
) -> Report {
    let start_worker = |which: usize| {
        child(|| {
            let mut random = Random::new(u64::from(mp_sys::robust::tid()));
            loop {
                step(which, &mut random);
                // Room for the others, and for the test itself.
                if random.below(8) == 0 {
                    std::thread::sleep(Duration::from_micros(random.below(60)));
                }
            }
        })
    };
    let mut workers: Vec<Child> = (0..WORKERS).map(start_worker).collect();
    let mut random = Random::new(0);
    let mut report = Report { kills: 0, late: 0, worst: Duration::ZERO };
    let end = Instant::now() + Duration::from_secs(setting("MP_RACE_SECONDS").unwrap_or(1));
    let kills = setting("MP_RACE_KILLS").unwrap_or(u64::MAX);
    while Instant::now() < end && u64::from(report.kills) < kills {
        std::thread::sleep(Duration::from_micros(random.below(800)));
        let victim = random.below(WORKERS as u64) as usize;
        for (i, worker) in workers.iter().enumerate() {
            assert_eq!(worker.status(), None, "{name}: worker {i} found something wrong");
        }
        workers[victim].kill();
        report.kills += 1;
        if replace == Replace::AtOnce {
            workers[victim] = start_worker(victim);
        }
        let (before, since) = (board.get(PROGRESS), Instant::now());
        while board.get(PROGRESS) == before {
            assert!(since.elapsed() < standstill, "{name}: the others stand still");
            std::thread::yield_now();
        }
        let recovery = since.elapsed();
        report.late += u32::from(recovery > RECOVERY);
        report.worst = report.worst.max(recovery);
        if replace == Replace::Later {
            workers[victim] = start_worker(victim);
        }
    }
    for worker in &workers {
        assert_eq!(worker.status(), None);
        worker.kill();
    }
    #[expect(clippy::print_stdout, reason = "the figures are for whoever runs the long form")]
    {
        println!(
            "{name}: {} kills, {} deaths reported, {} steps, worst recovery {:?}",
            report.kills,
            board.get(DEATHS_SEEN),
            board.get(PROGRESS),
            report.worst,
        );
    }
    report
}

/// A moment in the critical section, in which nobody else may be.
pub(crate) fn inside(board: &Board, me: u32) {
    board.set(INSIDE, me);
    for _ in 0..20 {
        assert_eq!(board.get(INSIDE), me, "two hold the lock");
    }
}

/// The one who holds the lock marks that its death is due to be reported, and takes the mark back
/// before it unlocks.
pub(crate) fn hold(board: &Board, died: bool) {
    if died {
        board.add(DEATHS_SEEN);
    } else {
        assert_eq!(board.get(DEATHS_DUE), 0, "a death was not reported");
    }
    board.set(DEATHS_DUE, 1);
    inside(board, mp_sys::robust::tid());
    board.set(DEATHS_DUE, 0);
    board.add(PROGRESS);
}

pub(crate) fn check(report: &Report) {
    let Report { kills, late, worst } = report;
    assert!(*late <= 1 + kills / 100, "{late} of {kills} recoveries were late, at worst {worst:?}");
}

fn mutex() {
    let (mutex, board) = (Mutex::new([0_u64; 2]).unwrap(), Board::new());
    let report = race("mutex", &board, |random| {
        let guard = match random.below(8) {
            0 => mutex.try_lock(),
            1 => mutex.lock_timeout(Duration::from_micros(random.below(200))),
            _ => mutex.lock(),
        };
        let (mut guard, died) = match guard {
            Ok(guard) => (guard, false),
            Err(LockError::OwnerDied(guard)) => (guard, true),
            Err(LockError::Failed(_)) => return,
        };
        if died {
            *guard = [guard[0].max(guard[1]); 2];
        }
        assert_eq!(guard[0], guard[1], "half-written, and nobody was told");
        guard[0] += 1;
        hold(&board, died);
        guard[1] += 1;
    });
    check(&report);
    // After the last death there is one report, or none.
    let first = matches!(mutex.lock(), Err(LockError::OwnerDied(_)));
    assert!(first || mutex.try_lock().is_ok());
    drop(mutex.lock().unwrap());
}

/// All but one sleep most of the time, so that deaths hit sleepers and those just woken.
fn mutex_slow() {
    let (mutex, board) = (Mutex::new(0_u64).unwrap(), Board::new());
    let report = race("mutex, long holds", &board, |random| {
        let (_guard, died) = match mutex.lock() {
            Ok(guard) => (guard, false),
            Err(LockError::OwnerDied(guard)) => (guard, true),
            Err(LockError::Failed(error)) => panic!("{error}"),
        };
        hold(&board, died);
        std::thread::sleep(Duration::from_micros(random.below(100)));
    });
    check(&report);
}

fn reentrant_mutex() {
    let (mutex, board) = (ReentrantMutex::new(0_u64).unwrap(), Board::new());
    let report = race("reentrant mutex", &board, |_| {
        let (outer, died) = match mutex.lock() {
            Ok(guard) => (guard, false),
            Err(LockError::OwnerDied(guard)) => (guard, true),
            Err(LockError::Failed(error)) => panic!("{error}"),
        };
        let inner = mutex.lock().unwrap();
        assert_eq!(outer.count(), 2);
        hold(&board, died);
        drop(outer);
        assert_eq!(inner.count(), 1);
    });
    check(&report);
}

fn rwlock() {
    let (lock, board) = (RwLock::new([0_u64; 4]).unwrap(), Board::new());
    let report = race("rwlock", &board, |random| {
        if random.below(4) > 0 {
            match lock.read() {
                Ok(all) => assert_eq!(*all, [all[0]; 4], "torn, and no reader was told"),
                Err(LockError::OwnerDied(_)) => drop(board.add(FLAG)),
                Err(LockError::Failed(error)) => panic!("{error}"),
            }
        } else {
            let (mut all, died) = match lock.write() {
                Ok(guard) => (guard, false),
                Err(LockError::OwnerDied(guard)) => (guard, true),
                Err(LockError::Failed(error)) => panic!("{error}"),
            };
            if died {
                *all = [all[0]; 4];
            }
            assert_eq!(*all, [all[0]; 4], "torn, and the writer was not told");
            for n in all.iter_mut() {
                *n += 1;
            }
            board.set(INSIDE, mp_sys::robust::tid());
            if died {
                board.add(DEATHS_SEEN);
            }
            assert_eq!(board.get(INSIDE), mp_sys::robust::tid(), "two write");
        }
        board.add(PROGRESS);
    });
    check(&report);
}

fn semaphore() {
    let (semaphore, board) = (Semaphore::new(2).unwrap(), Board::new());
    let report = race("semaphore", &board, |random| {
        let permit = match random.below(8) {
            0 => semaphore.try_acquire(),
            1 => semaphore.acquire_timeout(Duration::from_micros(random.below(200))),
            _ => semaphore.acquire(),
        };
        let Ok(_permit) = permit else { return };
        assert!(semaphore.value() < 2);
        if random.below(2) == 0 {
            let _second = semaphore.try_acquire();
        }
        board.add(PROGRESS);
    });
    check(&report);
    assert_eq!(semaphore.value(), 2, "all permits are back");
}

fn bounded_semaphore() {
    let (semaphore, board) = (BoundedSemaphore::new(1).unwrap(), Board::new());
    let report = race("bounded semaphore", &board, |_| {
        let permit = semaphore.acquire().unwrap();
        assert!(semaphore.release(1).is_err());
        inside(&board, mp_sys::robust::tid());
        board.add(PROGRESS);
        drop(permit);
    });
    check(&report);
    assert_eq!(semaphore.value(), 1);
}

fn condvar() {
    let (turn, changed) = (Mutex::new(0_u64).unwrap(), Condvar::new().unwrap());
    let board = Board::new();
    // Producers and consumers of one slot; any of them may die anywhere.
    let report = race_of("condvar", &board, Replace::Later, STANDSTILL, |which, _| {
        let full = (which % 2) as u64;
        let guard = turn.lock().or_else(LockError::recover).unwrap();
        let guard = changed.wait_while(guard, |slot| **slot != full);
        let mut guard = guard.or_else(LockError::recover).unwrap();
        *guard = 1 - full;
        drop(guard);
        changed.notify_all(); // Both kinds wait here.
        board.add(PROGRESS);
    });
    check(&report);
}

fn event() {
    let (event, board) = (Event::new().unwrap(), Board::new());
    let report =
        race_of("event", &board, Replace::Later, STANDSTILL, |which, random| match which {
            // Both set, so one of them lives; and each leaves the flag set when it goes on.
            0 | 1 => {
                event.clear();
                event.set();
                if random.below(10) == 0 {
                    std::thread::yield_now();
                }
            }
            _ => {
                event.wait().unwrap();
                board.add(PROGRESS);
            }
        });
    check(&report);
}

fn barrier() {
    let (barrier, board) = (Barrier::new(WORKERS).unwrap(), Board::new());
    let report =
        race_of("barrier", &board, Replace::AtOnce, STANDSTILL, |_, _| match barrier.wait() {
            Ok(_) => drop(board.add(PROGRESS)),
            Err(mp_sync::Error::Broken) => {
                board.add(DEATHS_SEEN);
                barrier.reset();
                board.add(PROGRESS);
            }
            Err(error) => panic!("{error}"),
        });
    check(&report);
}
