//! The pool's behaviour, one table over all kinds of workers.
#![expect(clippy::print_stderr, reason = "races say how often they were run")]

mod calls;
mod deaths;
mod kills;
mod lane;
mod life;
mod limits;
mod model;
mod results;
mod streams;
mod values;
mod whole;
mod workers;

use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use mp_pool::{Builder, Error, Pool, StartMethod};

/// What the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fork,
    Spawn,
    ForkServer,
    Threads,
}

impl Kind {
    pub(crate) fn builder(self) -> Builder {
        let builder = Pool::builder();
        match self {
            Kind::Fork => builder.method(StartMethod::Fork),
            Kind::Spawn => builder.method(StartMethod::Spawn),
            Kind::ForkServer => builder.method(StartMethod::ForkServer),
            Kind::Threads => builder.threads(),
        }
    }

    pub(crate) fn pool(self, workers: usize) -> Pool {
        self.start(|builder| builder.workers(workers))
    }

    /// A pool as `make` has it.
    pub(crate) fn start(self, make: impl Fn(Builder) -> Builder) -> Pool {
        let start = Instant::now();
        loop {
            match make(self.builder()).start() {
                // A thread of the last test's pool is on its way out.
                Err(Error::Start(mp_process::Error::MultiThreaded { .. }))
                    if start.elapsed() < LONG =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                pool => return pool.unwrap(),
            }
        }
    }
}

/// No test waits longer than this for one result.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How long a race is run.
pub(crate) fn race_time() -> Duration {
    let seconds = std::env::var("MP_RACE_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

/// Numbers that look random, the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed << 32 | 0x2545_f491)
    }

    /// A number less than `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One row of the table.
pub(crate) type Case = (&'static str, fn(Kind));

fn main() {
    mp_process::init();
    if std::env::args().nth(1).as_deref() == Some(whole::PROGRAM) {
        return whole::program();
    }
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let mut trials = Vec::new();
    for kind in [Kind::Fork, Kind::Spawn, Kind::ForkServer, Kind::Threads] {
        let everywhere = [
            calls::CASES,
            results::CASES,
            streams::CASES,
            values::CASES,
            limits::CASES,
            workers::CASES,
            life::CASES,
            model::CASES,
        ];
        let everywhere = everywhere.into_iter().flatten();
        let in_processes =
            deaths::CASES.iter().chain(kills::CASES).filter(|_| kind != Kind::Threads);
        let once = whole::CASES.iter().chain(lane::CASES).filter(|_| kind == Kind::ForkServer);
        for (name, case) in everywhere.chain(in_processes).chain(once) {
            let run = move || {
                // A hang is a failure of this test, not of the whole run.
                let watchdog = Watchdog::new(name);
                case(kind);
                drop(watchdog);
                Ok(())
            };
            trials.push(Trial::test(format!("{kind:?}::{name}").to_lowercase(), run));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Ends the run when a test hangs. It is a process, not a thread: the tests fork.
struct Watchdog(std::process::Child);

impl Watchdog {
    fn new(name: &str) -> Watchdog {
        let script = format!("sleep 120; echo {name} hangs >&2; kill -9 {}", std::process::id());
        let child = std::process::Command::new("sh").args(["-c", &script]).spawn();
        Watchdog(child.expect("sh"))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
