//! The pool and its process as a whole.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mp_pool::{Pool, Shared};

use crate::calls::{nap, square};
use crate::deaths::all_go;
use crate::{Case, Kind};

pub(crate) const CASES: &[Case] = &[
    ("gone_with_a_killed_parent", gone_with_a_killed_parent),
    ("ctrl_c_makes_no_noise", ctrl_c_makes_no_noise),
    ("idle_pools_do_nothing", idle_pools_do_nothing),
    ("memory_stays_flat", memory_stays_flat),
    ("shared_data", shared_data),
    ("descriptors_come_back", descriptors_come_back),
];

/// The program that the first two tests end: it says who its workers are, and works.
pub(crate) const PROGRAM: &str = "work until you are ended";

pub(crate) fn program() {
    let pool = Pool::new(3).unwrap();
    let result = pool.map_async(nap, vec![20; 10_000]).unwrap();
    let pids: Vec<String> =
        pool.stats().workers.iter().map(|worker| worker.pid.unwrap().to_string()).collect();
    #[expect(clippy::print_stdout, reason = "it is how the test learns of them")]
    {
        println!("{}", pids.join(" "));
    }
    result.wait();
}

/// Starts the program in a process group of its own, ends it with `end`, and returns what it
/// printed as errors.
fn end_program(end: impl Fn(rustix::process::Pid)) -> (i32, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(PROGRAM)
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pids: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    nap(60);
    end(rustix::process::Pid::from_raw(child.id() as i32).unwrap());
    let status = child.wait().unwrap();
    all_go(&pids);
    let mut noise = String::new();
    child.stderr.take().unwrap().read_to_string(&mut noise).unwrap();
    (status.signal().unwrap(), noise)
}

fn gone_with_a_killed_parent(_: Kind) {
    // C17
    let kill = |pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(end_program(kill), (9, String::new()));
}

fn ctrl_c_makes_no_noise(_: Kind) {
    // C16: the terminal sends SIGINT to the whole group.
    for _ in 0..3 {
        let interrupt = |group| {
            rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
        };
        assert_eq!(end_program(interrupt), (2, String::new()));
    }
}

/// How many clock ticks of processor time a process has used, and how often it went to sleep.
fn used(pid: u32) -> u64 {
    let switches = |status: String| {
        let line = status.lines().find(|line| line.starts_with("voluntary")).map(str::to_owned);
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap())
        .map(switches)
        .sum()
}

fn idle_pools_do_nothing(kind: Kind) {
    let pool = kind.pool(2);
    pool.map(square, 0..100).unwrap();
    nap(50);
    let pids: Vec<u32> = pool.stats().workers.iter().filter_map(|worker| worker.pid).collect();
    let all = || pids.iter().map(|pid| used(*pid)).sum::<u64>() + used(std::process::id());
    let before = all();
    nap(500);
    let woken = all() - before;
    assert!(woken <= 4, "an idle pool woke {woken} times in half a second");
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn memory_stays_flat(kind: Kind) {
    let tasks = if std::env::var("MP_RACE_SECONDS").is_ok() { 1_000_000 } else { 100_000 };
    let pool = kind.pool(2);
    let mut results = pool.imap(square, 0..);
    assert!(results.by_ref().take(20_000).all(|result| result.is_ok()));
    let before = resident();
    let start = Instant::now();
    assert!(results.take(tasks).all(|result| result.is_ok()));
    let grown = resident().saturating_sub(before);
    assert!(grown < 2 << 20, "{grown} bytes more after {tasks} tasks");
    eprintln!("{tasks} tasks in {:?}, {grown} bytes more", start.elapsed());
}

fn shared_data(kind: Kind) {
    // C35
    fn sum((numbers, from): (mp_shm::Frozen<u64>, usize)) -> u64 {
        numbers[from..from + 1_000].iter().sum()
    }
    fn nth((words, at): (Shared<Vec<String>>, usize)) -> (String, bool) {
        let words = words.get().unwrap();
        (words[at].clone(), std::sync::Arc::strong_count(&words) > 1)
    }
    let pool = kind.pool(2);
    let numbers: Vec<u64> = (0..1_000_000).collect();
    let frozen = mp_shm::Frozen::from_slice(&numbers).unwrap();
    let parts = (0..1_000).map(|part| (frozen.clone(), part * 1_000));
    let start = Instant::now();
    let sums = pool.with().chunk(10).map(sum, parts).unwrap();
    assert_eq!(sums.iter().sum::<u64>(), 999_999 * 1_000_000 / 2);
    assert!(start.elapsed() < Duration::from_secs(5));
    let words = Shared::new(&(0..100).map(|n| n.to_string()).collect::<Vec<_>>()).unwrap();
    let found = pool.map(nth, (0..100).map(|at| (words.clone(), at))).unwrap();
    for (at, (word, kept)) in found.into_iter().enumerate() {
        assert_eq!((word, kept), (at.to_string(), true));
    }
    let array = mp_shm::Array::from_slice(&numbers[..10_000]).unwrap();
    pool.map_array(square, &array).unwrap();
    assert!(array.iter().zip(numbers).all(|(square, x)| square == x * x));
}

fn descriptors_come_back(kind: Kind) {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let round = || {
        let pool = kind.start(|builder| builder.workers(2).tasks_per_worker(2));
        pool.with().chunk(1).map(square, 0..8).unwrap();
    };
    round();
    let before = open();
    (0..5).for_each(|_| round());
    // A worker that has just ended keeps its descriptors here until somebody looks for the dead.
    let end = Instant::now() + Duration::from_secs(10);
    while open() > before + 1 {
        assert!(Instant::now() < end, "{} descriptors, {before} before", open());
        drop(mp_process::active_children());
        std::thread::yield_now();
    }
}
