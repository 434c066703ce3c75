//! How cost grows: with workers, producers and consumers, message sizes, tasks, live objects.

use std::fs;

use mp_ipc::{ByteQueue, Queue};
use mp_pool::Pool;
use mp_process::{Process, StartMethod};

use crate::peers::channels::lanes_of;
use crate::process::{Pin, child, pair, per_op, reap};

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Prints the table. Each measurement runs in a child of its own, which has one thread.
pub fn run() -> Result<(), String> {
    println!("what\tsize\tvalue\tunit");
    for count in [1, 2, 4, 8, 16] {
        alone(|| line("queue, producers = consumers", count, queue(count)?, "ns a message"));
    }
    for size in (0..).map(|nth| 8 << (3 * nth)).take_while(|size| *size <= 64 << 20) {
        alone(|| line("queue, bytes a message", size, sizes(size)?, "ns a message"));
    }
    for workers in [1, 2, 4, 8, 16] {
        alone(|| {
            line("pool.map of 100,000, workers", workers, map(workers, 100_000)?, "ns a task")
        });
    }
    for tasks in [10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        alone(|| line("pool.map, tasks", tasks, map(2, tasks)?, "ns a task"));
    }
    for count in [1, 10, 100, 1_000] {
        alone(|| queues_alive(count));
    }
    for count in [1, 10, 100, 1_000] {
        alone(|| children_alive(count));
    }
    alone(pending_tasks);
    Ok(())
}

fn line(what: &str, size: usize, value: f64, unit: &str) -> Result<(), String> {
    println!("{what}\t{size}\t{value:.1}\t{unit}");
    Ok(())
}

fn alone(measure: impl FnOnce() -> Result<(), String>) {
    reap(child(|| {
        if let Err(error) = measure() {
            println!("left out: {error}");
        }
    }));
}

fn queue(lanes: usize) -> Result<f64, String> {
    const COUNT: usize = 400_000;
    let queue = Queue::<u64>::new(1024).map_err(text)?;
    let share = COUNT / lanes;
    let send = || (0..share as u64).for_each(|i| queue.put(i).expect("put"));
    let receive = || (0..share).for_each(|_| assert_ne!(queue.get().expect("get"), u64::MAX));
    Ok(per_op(COUNT, || lanes_of(lanes, &send, &receive)))
}

fn sizes(size: usize) -> Result<f64, String> {
    let count = ((256 << 20) / size).clamp(4, 200_000);
    let queue = ByteQueue::with_capacity(1024, 1 << 20).map_err(text)?;
    let done = Queue::<u8>::new(1).map_err(text)?;
    let message = vec![7; size];
    Ok(pair(
        Pin::Apart,
        || {
            let mut buffer = Vec::new();
            for _ in 0..count {
                buffer.clear();
                assert_eq!(queue.get_into(&mut buffer).expect("get"), size);
            }
            done.put(1).expect("put");
        },
        || {
            per_op(count, || {
                (0..count).for_each(|_| queue.put(&message).expect("put"));
                done.get().expect("get");
            })
        },
    ))
}

fn increment(x: u64) -> u64 {
    x + 1
}

fn map(workers: usize, tasks: usize) -> Result<f64, String> {
    let pool = Pool::new(workers).map_err(text)?;
    pool.map(increment, 0..100).map_err(text)?;
    let mut result = Ok(Vec::new());
    let time = per_op(tasks, || result = pool.map(increment, 0..tasks as u64));
    result.map_err(text).map(|_| time)
}

/// Makes `count` queues and looks at the time and the memory that each takes.
fn queues_alive(count: usize) -> Result<(), String> {
    let before = (resident("/proc/self/smaps_rollup"), descriptors());
    let mut queues = Vec::new();
    let time = per_op(count, || {
        queues = (0..count).map(|_| Queue::<u64>::new(16)).collect();
    });
    let queues = queues.into_iter().collect::<Result<Vec<_>, _>>().map_err(text)?;
    let each = |after: f64, before: f64| (after - before) / queues.len() as f64;
    line("live queues", count, time, "ns to make one")?;
    line(
        "live queues",
        count,
        each(resident("/proc/self/smaps_rollup"), before.0),
        "KiB each, mapped",
    )?;
    let ring = queues.first().map_or(0, Queue::capacity) as f64 / 1024.0;
    line("live queues", count, ring, "KiB each, reserved for the ring")?;
    line("live queues", count, each(descriptors(), before.1), "descriptors each")
}

fn wait_for_the_end(gate: mp_ipc::Receiver<()>) {
    let _ = gate.recv();
}

/// Starts `count` children that wait, and looks at the time and the memory that each takes.
fn children_alive(count: usize) -> Result<(), String> {
    let mut gates = Vec::new();
    let mut children = Vec::new();
    let mut failed = None;
    let start = |index: usize| -> Result<_, String> {
        let (open, gate) = mp_ipc::simplex().map_err(text)?;
        let process = Process::new(wait_for_the_end, gate).name(format!("waiter {index}"));
        let child = process.method(StartMethod::ForkServer).start().map_err(text)?;
        Ok((open, child))
    };
    let time = per_op(count, || {
        for index in 0..count {
            match start(index) {
                Ok((open, child)) => {
                    gates.push(open);
                    children.push(child);
                }
                Err(error) => failed = Some(error),
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let own: f64 =
        children.iter().map(|child| resident(&format!("/proc/{}/smaps_rollup", child.pid()))).sum();
    line("live children", count, time, "ns to start one")?;
    line("live children", count, own / count as f64, "KiB each, own share (PSS)")?;
    drop(gates);
    children.iter().try_for_each(|child| child.join().map(drop)).map_err(text)
}

fn pause(_: u64) {
    std::thread::sleep(std::time::Duration::from_secs(1));
}

/// Submits 100,000 tasks to busy workers and looks at what each pending one takes.
fn pending_tasks() -> Result<(), String> {
    const COUNT: usize = 100_000;
    let pool = Pool::new(2).map_err(text)?;
    let busy =
        [pool.apply_async(pause, 0).map_err(text)?, pool.apply_async(pause, 1).map_err(text)?];
    let before = resident("/proc/self/smaps_rollup");
    let pending: Result<Vec<_>, _> =
        (0..COUNT as u64).map(|i| pool.apply_async(increment, i)).collect();
    let pending = pending.map_err(text)?;
    let bytes = (resident("/proc/self/smaps_rollup") - before) * 1024.0 / COUNT as f64;
    line("pending tasks", COUNT, bytes, "bytes each")?;
    busy.iter().try_for_each(|result| result.get()).map_err(text)?;
    pending.last().map_or(Ok(()), |last| last.get().map(drop).map_err(text))
}

/// The proportional set size in KiB.
fn resident(file: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.trim_end_matches("kB").trim().parse().ok()).unwrap_or(0.0)
}

fn descriptors() -> f64 {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as f64
}
