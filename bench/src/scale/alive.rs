//! Many live queues, many live children.

use mp_ipc::{Queue, Receiver, simplex};
use mp_process::{Process, StartMethod};

use super::{Table, text};
use crate::process::per_op;

const COUNTS: &[usize] = &[1, 10, 100, 1_000];

pub const TABLES: &[Table] = &[
    Table {
        name: "live",
        what: "so many queues in one process; nanoseconds to make one, for a put and a get in \
                   each in turn, and to close one",
        columns: &["queues", "make", "put and get", "drop"],
        sizes: COUNTS,
        take: queues,
    },
    Table {
        name: "children",
        what: "so many live children of one process, each waiting on a pipe; microseconds to \
                   start one, and to end and join one, by method",
        columns: &["children", "fork", "end", "forkserver", "end", "spawn", "end"],
        sizes: COUNTS,
        take: |count| {
            let methods = [StartMethod::Fork, StartMethod::ForkServer, StartMethod::Spawn];
            let takes = methods.into_iter().map(|method| children(count, method));
            Ok(takes.collect::<Result<Vec<_>, _>>()?.concat())
        },
    },
];

pub fn make_queues(count: usize) -> Result<Vec<Queue<u64>>, String> {
    (0..count).map(|_| Queue::new(16).map_err(text)).collect()
}

fn queues(count: usize) -> Result<Vec<f64>, String> {
    let mut queues = Ok(Vec::new());
    let make = per_op(count, || queues = make_queues(count));
    let queues = queues?;
    let rounds = 100_000 / count;
    let pass = || {
        for queue in &queues {
            queue.put(1).expect("put");
            queue.get().expect("get");
        }
    };
    pass();
    let both = per_op(count * rounds, || (0..rounds).for_each(|_| pass()));
    Ok(vec![make, both, per_op(count, || drop(queues))])
}

fn wait_for_the_end(gate: Receiver<()>) {
    let _ = gate.recv();
}

/// Children that live until their gate opens.
pub struct Children {
    pub children: Vec<mp_process::Child<()>>,
    gates: Vec<mp_ipc::Sender<()>>,
}

impl Children {
    pub fn start(count: usize, method: StartMethod) -> Result<Children, String> {
        let mut all = Children { children: Vec::new(), gates: Vec::new() };
        for _ in 0..count {
            let (open, gate) = simplex().map_err(text)?;
            let child = Process::new(wait_for_the_end, gate).method(method).start();
            all.children.push(child.map_err(text)?);
            all.gates.push(open);
        }
        Ok(all)
    }

    pub fn end(self) -> Result<(), String> {
        self.gates.iter().try_for_each(|gate| gate.send(&()).map_err(text))?;
        self.children.iter().try_for_each(|child| child.join().map_err(text))
    }
}

fn children(count: usize, method: StartMethod) -> Result<Vec<f64>, String> {
    // What is made once for all, the fork server for one, is not the price of a child.
    Children::start(1, method)?.end()?;
    let mut children = Err(String::new());
    let start = per_op(1000 * count, || children = Children::start(count, method));
    let children = children?;
    let mut ended = Ok(());
    let end = per_op(1000 * count, || ended = children.end());
    ended.map(|()| vec![start, end])
}
