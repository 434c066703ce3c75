//! A pool among whose workers are some that write anything into what they share with it.

use std::fs::{self, File};
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use mp_pool::{AsyncResult, Error, Pool};
use mp_sys::pidfd;
use mp_sys::socket::{self, SendFlags};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use crate::{Random, SOON, timed};

/// A task that has not come to its end after this long is stuck, and its worker goes.
const LIMIT: Duration = Duration::from_millis(300);

/// What a region of shared memory begins with, and how long that is (`docs/layout.md`).
const HEADER: u64 = 64;
const LANE: &[u8] = b"lane";

/// Every call meets its deadline, and a pool ends with all that it owes; what waits in the lane of
/// a worker that lives may have to wait for that.
pub(crate) fn run() {
    let rounds = std::env::var("MP_ROUNDS").map_or(20, |text| text.parse().unwrap());
    let mut random = Random::new();
    let (start, mut failed, mut stuck, mut worst) = (Instant::now(), 0, 0, Duration::ZERO);
    let mut pool = fresh();
    for _ in 0..rounds {
        let hand_in = |task| match task {
            0 => pool.apply_async(attack, random.below(u64::MAX)).unwrap(),
            _ => pool.apply_async(honest, task).unwrap(),
        };
        let tasks: Vec<_> = (0..6).map(hand_in).collect();
        let results: Vec<_> = tasks.iter().map(|task| task.get_timeout(SOON)).collect();
        failed += results.iter().filter(|result| result.is_err()).count();
        if results.iter().any(|result| matches!(result, Err(Error::TimedOut))) {
            stuck += 1;
            let ((), took) = timed(|| pool.terminate());
            worst = worst.max(took);
            assert!(tasks.iter().all(AsyncResult::ready), "the end of a pool owes a result");
            pool = fresh();
        }
    }
    let ((), took) = timed(|| pool.terminate());
    worst = worst.max(took);
    assert!(worst < SOON, "the end of a pool took {worst:?}");
    let honest: Vec<u64> = fresh().map(honest, 0..10).unwrap();
    assert_eq!(honest, (1..11).collect::<Vec<_>>());
    println!(
        "{rounds} attacks in {:.1?}; {failed} of {} tasks failed; {stuck} times the lane was out \
         of joint with its worker alive; ending a pool took {worst:.1?} at the worst",
        start.elapsed(),
        6 * rounds,
    );
}

fn fresh() -> Pool {
    Pool::builder().workers(2).restart_limit(u32::MAX, SOON).timeout(LIMIT).start().unwrap()
}

fn honest(x: u64) -> u64 {
    x + 1
}

/// Writes into its lane, and posts to its sockets, what the seed says. Then it returns, waits for
/// its end, or ends.
fn attack(seed: u64) -> u64 {
    let mut random = Random(seed | 1);
    let memory = File::options().read(true).write(true).open("/proc/self/mem").unwrap();
    for (begin, end) in lanes(&memory) {
        for _ in 0..=random.below(20) {
            // Half of it where the words are, and not the frames.
            let span = if random.below(2) == 0 { 1216 } else { end - begin - HEADER };
            let at = begin + HEADER + random.below(span) / 8 * 8;
            let word = match random.below(4) {
                0 => random.below(3),
                1 => random.below(1 << 16),
                2 => u64::MAX - random.below(3),
                _ => random.below(u64::MAX),
            };
            memory.write_all_at(&word.to_ne_bytes(), at).unwrap();
        }
    }
    if random.below(3) == 0 {
        for socket in sockets() {
            let bytes: Vec<u8> = (0..random.below(64)).map(|_| random.below(9) as u8).collect();
            let _ = socket::send(&socket, &[IoSlice::new(&bytes)], &[], SendFlags::DONTWAIT);
        }
    }
    match random.below(3) {
        0 => std::process::exit(0),
        1 => std::thread::sleep(2 * LIMIT),
        _ => {}
    }
    0
}

/// From where to where this process has its lane.
fn lanes(memory: &File) -> Vec<(u64, u64)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let shared = maps.lines().filter(|line| line.contains(" rw-s ") && line.contains("memfd:"));
    let ranges = shared.filter_map(|line| {
        let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(begin)?, number(end)?))
    });
    let is_lane = |begin: u64| {
        let mut kind = [0; 4];
        memory.read_exact_at(&mut kind, begin + 12).is_ok() && kind == LANE
    };
    let lanes: Vec<_> = ranges.filter(|(begin, _)| is_lane(*begin)).collect();
    assert!(!lanes.is_empty(), "a worker without a lane");
    lanes
}

/// Whatever this process may post to.
fn sockets() -> Vec<OwnedFd> {
    let me = pidfd::open(std::process::id() as i32).unwrap();
    let all = (3..100).map(|fd| pidfd_getfd(&me, fd, PidfdGetfdFlags::empty()));
    all.flatten().collect()
}
