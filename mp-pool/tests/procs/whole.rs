//! The pool and its process as a whole.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mp_pool::Pool;

use crate::calls::{nap, square};
use crate::deaths::all_go;
use crate::{Case, Kind};

pub(crate) const CASES: &[Case] = &[
    ("gone_with_a_killed_parent", gone_with_a_killed_parent),
    ("ctrl_c_makes_no_noise", ctrl_c_makes_no_noise),
    ("memory_stays_flat", memory_stays_flat),
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
