//! `kill -9` of anybody, at any moment of a start.
//!
//! The story: a parent sends a request and dies; a fork server forks and dies before it has said
//! so; a child dies before its first word, or after its value and before its end. Each start must
//! end, in bounded time, with a child or with an error, and nobody may stay behind.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mp_process::{Error, Process, StartMethod, Stdio};
use serde::{Deserialize, Serialize};

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

/// The letter in `/proc/PID/stat` that tells what a process does. `None`: there is no such process.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What a parent looks at between two starts: what it has been left with.
#[derive(Default)]
struct Household {
    descriptors: Option<usize>,
    zombies: Vec<i32>,
}

impl Household {
    /// After a start that has come to its end, with a value or without.
    fn look(&mut self, value: bool) -> Result<(), String> {
        mp_process::active_children();
        let open = descriptors();
        if value {
            self.descriptors.get_or_insert(open);
        }
        if let Some(before) = self.descriptors
            && open > before
        {
            return Err(format!("{open} descriptors in place of {before}"));
        }
        // A server that has been shot is cleared away by the next start, not by this one.
        let zombies = below(std::process::id() as i32).into_iter();
        let zombies: Vec<i32> = zombies.filter(|pid| state(*pid) == Some('Z')).collect();
        let old = std::mem::replace(&mut self.zombies, zombies);
        match old.iter().find(|pid| self.zombies.contains(pid)) {
            Some(pid) => Err(format!("{pid} is a zombie still")),
            None => Ok(()),
        }
    }
}

/// Whether there was a value; or what should not have come.
fn start_one(method: usize) -> Result<bool, String> {
    let sum = |n: Vec<u64>| n.iter().sum::<u64>();
    let process = Process::new(sum, (0..50).collect()).daemon(true).method(METHODS[method]);
    match process.start().map(|child| child.join_timeout(BOUND)) {
        Ok(Ok(1225)) => Ok(true),
        Ok(Err(Error::Exited(_))) | Err(Error::DiedAtStart { .. } | Error::Os { .. }) => Ok(false),
        other => Err(format!("{other:?}")),
    }
}

/// What a broken start leaves behind.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Twin {
    Descriptor,
    Zombie,
    Process,
}

impl Twin {
    fn leave(self) {
        match self {
            Twin::Descriptor => std::mem::forget(File::open("/dev/null").unwrap()),
            Twin::Zombie => drop(Command::new("true").spawn().unwrap()),
            Twin::Process => drop(Command::new("sleep").arg("60").spawn().unwrap()),
        }
    }
}

/// What a parent does while it is shot at: starts, and tells how each start went.
fn start_all((told, method, twin): (mp_ipc::Sender<Result<(), String>>, usize, Option<Twin>)) {
    let mut household = Household::default();
    let end = Instant::now() + Duration::from_secs(600);
    while Instant::now() < end {
        let begin = Instant::now();
        twin.inspect(|twin| twin.leave());
        let went = start_one(method).and_then(|value| household.look(value));
        let went = match begin.elapsed() {
            time if time < BOUND => went,
            time => Err(format!("it took {time:?}")),
        };
        if told.send(&went).is_err() {
            return;
        }
    }
}

/// Waits until this process, to which all orphans come, has no child, and reaps those that have
/// ended: how many.
fn nobody_is_left() -> u32 {
    let late = Instant::now() + Duration::from_secs(5);
    let mut reaped = 0;
    loop {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let lists = tasks.map(|task| task.unwrap().path().join("children"));
        let left: String = lists.map(|list| std::fs::read_to_string(list).unwrap()).collect();
        let Some(pid) = left.split_whitespace().next() else { return reaped };
        let process = mp_sys::pidfd::open(pid.parse().unwrap()).unwrap();
        if mp_sys::pidfd::try_reap(&process).unwrap().is_some() {
            reaped += 1;
            continue;
        }
        assert!(Instant::now() < late, "left: {left}, state {:?}", state(pid.parse().unwrap()));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Parents, one after the other, each killed at some moment of some start: `MP_ROUNDS` of them, or
/// as many as there is time for. In a process of its own, which outlives them and inherits what
/// they leave.
fn rounds((method, rounds, time, twin): (usize, u32, Duration, Option<Twin>)) -> String {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let end = (rounds == u32::MAX).then(|| Instant::now() + time);
    let (mut parents, mut starts, mut kills, mut orphans) = (0, 0u32, 0, 0);
    let mut open = None;
    while parents < rounds && end.is_none_or(|end| Instant::now() < end) {
        let (sender, receiver) = mp_ipc::simplex::<Result<(), String>>().unwrap();
        let parent = Process::new(start_all, (sender, method, twin));
        let parent = parent.method(StartMethod::Spawn).start().unwrap();
        let stop = AtomicBool::new(false);
        let went = std::thread::scope(|scope| {
            let shooter = scope.spawn(|| shoot(parent.pid(), &stop));
            let told = || receiver.recv_timeout(BOUND).map_err(|_| "a start hangs".to_string())?;
            let went = (0..parents % 8).try_for_each(|_| told());
            starts += parents % 8;
            std::thread::sleep(Duration::from_micros(u64::from(parents).wrapping_mul(7919) % 3000));
            parent.kill().unwrap();
            parent.wait();
            stop.store(true, Ordering::Relaxed);
            kills += shooter.join().unwrap();
            went
        });
        went.unwrap();
        drop((parent, receiver));
        mp_process::active_children();
        orphans += nobody_is_left();
        assert_eq!(descriptors(), *open.get_or_insert(descriptors()));
        parents += 1;
    }
    format!(
        "{:?}: {starts} starts by {parents} killed parents, {kills} others killed, {orphans} orphans \
         reaped: no process, zombie or descriptor is left",
        METHODS[method]
    )
}

fn run(method: usize) {
    let count = std::env::var("MP_ROUNDS").map_or(u32::MAX, |text| text.parse().unwrap());
    let child = Process::new(rounds, (method, count, seconds(), None)).method(StartMethod::Spawn);
    let patience = seconds() + BOUND + if count == u32::MAX { BOUND } else { BOUND * count };
    report(&child.start().unwrap().join_timeout(patience).unwrap());
}

#[test]
fn shot_at_while_starting_by_the_fork_server() {
    run(0);
}

#[test]
fn shot_at_while_starting_by_spawn() {
    run(1);
}

#[test]
fn shot_at_while_starting_by_fork() {
    run(2);
}

/// All that the shots look for is seen.
#[test]
fn shots_see_broken_twins() {
    for twin in [Twin::Descriptor, Twin::Zombie, Twin::Process] {
        // In quiet: it panics, for it is the one that sees.
        let rounds = Process::new(rounds, (1, 1_000, Duration::MAX, Some(twin)));
        let rounds = rounds.method(StartMethod::Spawn).stderr(Stdio::Null).start().unwrap();
        let seen = rounds.join_timeout(BOUND * 2);
        assert!(matches!(seen, Err(Error::Panicked(_))), "{seen:?}");
    }
}
