//! A parent with many busy threads.
//!
//! The story: a process is copied while another thread holds the allocator's lock, or that of the
//! standard output, or a logger's. In the copy that lock is held for ever, and the first thing
//! that the child does waits for it. (CPython: gh-84559; 39 of 40 children hung.) Neither spawn
//! nor the fork server copies this process, so the threads must not matter.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mp_process::{Process, StartMethod};

/// How long one start and join may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn seconds() -> Duration {
    let seconds = std::env::var("MP_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

fn hammer(stop: &AtomicBool) {
    use std::io::Write;
    let mut kept = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        kept.push(vec![0u8; 100 + kept.len() % 4000]);
        if kept.len() > 50 {
            kept.clear();
        }
        // Not through the harness, which would keep it: the lock is what matters.
        write!(std::io::stdout().lock(), "").unwrap();
        log::info!("busy");
        std::thread::yield_now();
    }
}

#[test]
fn starts_from_a_parent_with_eight_busy_threads() {
    // The log facade's own logger, into nothing.
    log::set_max_level(log::LevelFilter::Info);
    let stop = AtomicBool::new(false);
    let starts = std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| hammer(&stop));
        }
        let end = Instant::now() + seconds();
        let mut starts = 0u64;
        // `MP_ROUNDS=1000` says how many; else as many as there is time for.
        let rounds = std::env::var("MP_ROUNDS").ok().map(|text| text.parse::<u64>().unwrap());
        while rounds.map_or(Instant::now() < end, |rounds| starts < rounds) {
            for method in [StartMethod::ForkServer, StartMethod::Spawn] {
                let talk = |n: u64| {
                    log::info!("in the child");
                    vec![n; 100].iter().sum::<u64>()
                };
                let child = Process::new(talk, starts).method(method).start().unwrap();
                assert_eq!(child.join_timeout(PATIENCE).unwrap(), 100 * starts);
                starts += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        starts
    });
    report(&format!("{starts} starts from a parent with 8 busy threads, none hung"));
}

#[test]
fn many_threads_start_at_once() {
    std::thread::scope(|scope| {
        for n in 0..8u64 {
            scope.spawn(move || {
                for _ in 0..10 {
                    let child = Process::new(|n: u64| n * n, n).start().unwrap();
                    assert_eq!(child.join_timeout(PATIENCE).unwrap(), n * n);
                }
            });
        }
    });
}

/// The unsafe way: the child uses nothing but memory, and this crate's own lists are in order.
#[test]
#[expect(unsafe_code, reason = "it is the unsafe way round that is tested")]
fn fork_despite_threads() {
    let stop = AtomicBool::new(false);
    let forks = std::thread::scope(|scope| {
        scope.spawn(|| hammer(&stop));
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                Process::call(|| ()).start().unwrap().join_timeout(PATIENCE).unwrap();
            }
        });
        let end = Instant::now() + seconds();
        let mut forks = 0u64;
        while Instant::now() < end {
            let numbers = vec![forks; 100];
            let process = Process::forked(move || numbers.iter().sum::<u64>());
            // SAFETY: the closure allocates and adds, and touches nothing that a thread locks.
            let child = unsafe { process.start_despite_threads() }.unwrap();
            assert_eq!(child.join_timeout(PATIENCE).unwrap(), 100 * forks);
            forks += 1;
        }
        stop.store(true, Ordering::Relaxed);
        forks
    });
    report(&format!("{forks} forks despite busy threads"));
}

/// Figures for whoever reads along (`--nocapture`).
#[expect(clippy::print_stdout, reason = "a race suite prints its figures")]
pub(crate) fn report(line: &str) {
    println!("{line}");
}
