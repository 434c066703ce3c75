//! `kill -9` of anybody, at any moment of a start.
//!
//! The story: a parent sends a request and dies; a fork server forks and dies before it has said
//! so; a child dies before its first word, or after its value and before its end. Each start must
//! end, in bounded time, with a child or with an error, and nobody may stay behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mp_process::{Error, Process, StartMethod};

use crate::crowd::{report, seconds};

const BOUND: Duration = Duration::from_secs(20);

const METHODS: [StartMethod; 3] = [StartMethod::ForkServer, StartMethod::Spawn, StartMethod::Fork];

/// All processes below `pid`, itself not.
fn below(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    children.flat_map(|pid| below(pid).into_iter().chain([pid])).collect()
}

fn kill(pid: i32) {
    if let Ok(process) = mp_sys::pidfd::open(pid) {
        // It may have ended meanwhile.
        let _ = mp_sys::pidfd::signal(process, 9);
    }
}

/// Kills one process below `pid` after another, until told to stop: servers and children, in
/// whatever they are doing.
fn shoot(pid: i32, stop: &AtomicBool) -> u32 {
    let (mut kills, mut pause) = (0, 1u64);
    while !stop.load(Ordering::Relaxed) {
        pause =
            pause.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros(pause >> 53));
        let targets = below(pid);
        if let Some(target) = targets.get((pause >> 33) as usize % targets.len().max(1)) {
            kill(*target);
            kills += 1;
        }
    }
    kills
}

/// What a parent does while it is shot at: starts, and tells how each start went.
fn start_all((told, method): (mp_ipc::Sender<bool>, usize)) {
    let end = Instant::now() + Duration::from_secs(600);
    while Instant::now() < end {
        let sum = |n: Vec<u64>| n.iter().sum::<u64>();
        let begin = Instant::now();
        let process = Process::new(sum, (0..50).collect()).daemon(true).method(METHODS[method]);
        let went_well = match process.start() {
            Ok(child) => match child.join_timeout(BOUND) {
                Ok(sum) => sum == 1225,
                Err(Error::Exited(_)) => true,
                Err(_) => false,
            },
            Err(Error::DiedAtStart { .. } | Error::Os { .. }) => true,
            Err(_) => false,
        };
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
        let in_bounds = begin.elapsed() < BOUND && descriptors < 50;
        if told.send(&(went_well && in_bounds)).is_err() {
            return;
        }
    }
}

/// Parents, one after the other, each killed at some moment of some start: `MP_ROUNDS` of them, or
/// as many as there is time for.
fn rounds(method: usize) {
    let rounds = std::env::var("MP_ROUNDS").map_or(u32::MAX, |text| text.parse().unwrap());
    let end = (rounds == u32::MAX).then(|| Instant::now() + seconds());
    let (mut parents, mut starts, mut kills) = (0, 0u32, 0);
    while parents < rounds && end.is_none_or(|end| Instant::now() < end) {
        let (sender, receiver) = mp_ipc::simplex::<bool>().unwrap();
        let parent =
            Process::new(start_all, (sender, method)).method(StartMethod::Spawn).start().unwrap();
        let stop = AtomicBool::new(false);
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            let shooter = scope.spawn(|| shoot(parent.pid(), &stop));
            for _ in 0..parents % 8 {
                assert!(receiver.recv_timeout(BOUND).unwrap(), "a start went wrong or hung");
                starts += 1;
            }
            std::thread::sleep(Duration::from_micros(u64::from(parents).wrapping_mul(7919) % 3000));
            seen = below(parent.pid());
            parent.kill().unwrap();
            parent.wait();
            stop.store(true, Ordering::Relaxed);
            kills += shooter.join().unwrap();
        });
        parents += 1;
        let late = Instant::now() + Duration::from_secs(5);
        while let Some(pid) = seen.iter().find(|pid| runs(**pid)) {
            assert!(Instant::now() < late, "process {pid} is left");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let method = METHODS[method];
    report(&format!(
        "{method:?}: {starts} starts by {parents} killed parents, {kills} others killed"
    ));
}

fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

#[test]
fn shot_at_while_starting_by_the_fork_server() {
    rounds(0);
}

#[test]
fn shot_at_while_starting_by_spawn() {
    rounds(1);
}

#[test]
fn shot_at_while_starting_by_fork() {
    rounds(2);
}
