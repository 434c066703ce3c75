//! CPython's multiprocessing doing the same work: `python/peers.py` prints the nanoseconds.

use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/peers.py");

fn run(workload: &str) -> Result<f64, String> {
    let output = Command::new("python3")
        .args([SCRIPT, workload])
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!("python3: {}", complaint.lines().next_back().unwrap_or("said nothing"))
    })
}

macro_rules! workloads {
    ($($name:ident),*) => {$(
        pub fn $name() -> Result<f64, String> {
            run(stringify!($name))
        }
    )*};
}

workloads!(
    queue_stream,
    queue_rtt,
    pipe_rtt,
    pipe_stream,
    start_fork,
    start_spawn,
    start_forkserver,
    pool_map,
    pool_stream,
    pool_apply,
    pool_big,
    manager_set,
    manager_bulk
);
