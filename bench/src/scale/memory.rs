//! What a queue, a child and a pending task take.

use std::fs;

use mp_ipc::Queue;
use mp_pool::Pool;
use mp_process::StartMethod;

use super::alive::{Children, make_queues};
use super::pools::increment;
use super::{Table, alone, text};

pub const TABLES: &[Table] = &[
    Table {
        name: "queue-memory",
        what: "memory of a queue of 16 places: resident after its making and after one item, \
                   of which the ring, in KiB, and descriptors",
        columns: &["queues", "KiB each", "KiB each, used", "ring", "descriptors each"],
        sizes: &[1, 10, 100, 1_000],
        take: queues,
    },
    Table {
        name: "child-memory",
        what: "memory of one of so many waiting children: KiB that are its own share (PSS), \
                   by method, and what the parent keeps for it",
        columns: &[
            "children",
            "fork",
            "forkserver",
            "spawn",
            "parent, KiB each",
            "parent, descriptors each",
        ],
        sizes: &[1, 10, 100, 1_000],
        take: children,
    },
    Table {
        name: "task-memory",
        what: "memory of one of so many pending tasks, a `u64` each: bytes in the calling \
                   process, workers busy",
        columns: &["tasks", "apply_async", "map_async", "map_async, chunk 1"],
        sizes: &[1_000, 10_000, 100_000, 1_000_000],
        take: tasks,
    },
];

fn queues(count: usize) -> Result<Vec<f64>, String> {
    let each = |after: f64, before: f64| (after - before) / count as f64;
    // The first one brings the program's own pages into memory.
    make_queues(1)?.iter().try_for_each(|queue| queue.put(1).map_err(text))?;
    let (memory, files) = (own_share("self"), descriptors());
    let queues = make_queues(count)?;
    let made = own_share("self");
    queues.iter().try_for_each(|queue| queue.put(1).map_err(text))?;
    let used = own_share("self");
    let ring = queues.first().map_or(0, Queue::capacity) as f64 / 1024.0;
    Ok(vec![each(made, memory), each(used, memory), ring, each(descriptors(), files)])
}

fn children(count: usize) -> Result<Vec<f64>, String> {
    let mut out = Vec::new();
    let mut parent = vec![0.0, 0.0];
    for method in [StartMethod::Fork, StartMethod::ForkServer, StartMethod::Spawn] {
        Children::start(1, method)?.end()?;
        let (memory, files) = (resident(), descriptors());
        let all = Children::start(count, method)?;
        if method == StartMethod::ForkServer {
            let each = |after: f64, before: f64| (after - before) / count as f64;
            parent = vec![each(resident(), memory), each(descriptors(), files)];
        }
        // The share of many is the share of some of them, evenly chosen.
        let some: Vec<_> = all.children.iter().step_by(count.div_ceil(100)).collect();
        let shares = some.iter().map(|child| own_share(&child.pid().to_string()));
        out.push(shares.sum::<f64>() / some.len() as f64);
        all.end()?;
    }
    out.append(&mut parent);
    Ok(out)
}

fn wait_for_the_end(gate: mp_ipc::Receiver<()>) {
    let _ = gate.recv();
}

fn tasks(count: usize) -> Result<Vec<f64>, String> {
    type Answers = Result<Box<dyn std::any::Any>, mp_pool::Error>;
    // Each in a process of its own, or one would find the memory that the one before has freed.
    let pending = |submit: &dyn Fn(&Pool) -> Answers| {
        let values = alone(|| {
            let pool = Pool::new(1).map_err(text)?;
            pool.map(increment, 0..100).map_err(text)?;
            let (open, gate) = mp_ipc::simplex().map_err(text)?;
            let busy = pool.apply_async(wait_for_the_end, gate).map_err(text)?;
            let before = resident();
            let answers = submit(&pool).map_err(text)?;
            let bytes = (resident() - before) * 1024.0 / count as f64;
            drop((answers, open, busy));
            pool.kill();
            Ok(vec![bytes])
        });
        values.map(|values| values[0])
    };
    let all = 0..count as u64;
    Ok(vec![
        pending(&|pool| {
            let answers = all.clone().map(|i| pool.apply_async(increment, i));
            Ok(Box::new(answers.collect::<Result<Vec<_>, _>>()?))
        })?,
        pending(&|pool| Ok(Box::new(pool.map_async(increment, all.clone())?)))?,
        pending(&|pool| Ok(Box::new(pool.with().chunk(1).map_async(increment, all.clone())?)))?,
    ])
}

/// The proportional set size of a process in KiB.
fn own_share(process: &str) -> f64 {
    smaps(process, "Pss:")
}

/// What this process has in memory, shared or not, in KiB.
fn resident() -> f64 {
    smaps("self", "Rss:")
}

fn smaps(process: &str, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let value = |line: &str| {
        let rest = line.strip_prefix(field)?;
        rest.trim_end_matches("kB").trim().parse::<f64>().ok()
    };
    text.lines().find_map(value).unwrap_or(0.0)
}

fn descriptors() -> f64 {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as f64
}
