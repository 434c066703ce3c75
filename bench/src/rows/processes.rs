//! mp-process.

use mp_process::{Process, StartMethod};

use super::{goal, record};
use crate::peers::{floor, procspawn, python};
use crate::process::per_op;
use crate::row::Row;

pub const ROWS: &[Row] = &[
    Row {
        name: "start-fork",
        what: "start a forked child that runs a function, and join it",
        pinned: "not at all",
        waits: "blocking",
        ours: fork,
        peers: &[
            goal("fork-waitpid", 1.2, floor::fork_wait),
            record("fork-by-hand", floor::fork_by_hand),
            record("python-fork", python::start_fork),
        ],
    },
    Row {
        name: "start-spawn",
        what: "start a fresh copy of the program that runs a function, and join it",
        pinned: "not at all",
        waits: "blocking",
        ours: spawn,
        peers: &[
            goal("std-command", 1.2, floor::command),
            goal("procspawn", 1.0, procspawn::start),
            record("python-spawn", python::start_spawn),
        ],
    },
    Row {
        name: "start-forkserver",
        what: "start a child of the fork server that runs a function, and join it",
        pinned: "not at all",
        waits: "blocking",
        ours: forkserver,
        peers: &[
            goal("fork-waitpid", 2.0, floor::fork_wait),
            record("python-forkserver", python::start_forkserver),
        ],
    },
    Row {
        name: "start-forkserver-1gib",
        what: "the same from a parent that has touched 1 GiB",
        pinned: "not at all",
        waits: "blocking",
        ours: forkserver_1gib,
        peers: &[goal("fork-waitpid-1gib", 1.0 / 20.0, floor::fork_wait_1gib)],
    },
];

fn nothing() {}

fn fork() -> Result<f64, String> {
    start(StartMethod::Fork, 300)
}

fn spawn() -> Result<f64, String> {
    start(StartMethod::Spawn, 100)
}

fn forkserver() -> Result<f64, String> {
    start(StartMethod::ForkServer, 300)
}

fn forkserver_1gib() -> Result<f64, String> {
    let heap = floor::touched_gib();
    let time = start(StartMethod::ForkServer, 100);
    std::hint::black_box(heap);
    time
}

fn start(method: StartMethod, count: usize) -> Result<f64, String> {
    let one = || {
        let child = Process::call(nothing).method(method).start();
        child.and_then(|child| child.join()).map_err(|error| error.to_string())
    };
    one()?;
    let mut result = Ok(());
    let time = per_op(count, || {
        for _ in 0..count {
            result = result.clone().and_then(|()| one());
        }
    });
    result.map(|()| time)
}
