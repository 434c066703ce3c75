//! The rows, in the order of the layers.

mod copies;
mod locks;
mod managers;
mod memory;
mod pipes;
mod pools;
mod processes;
mod queues;

use crate::row::{Peer, Row};

pub fn all() -> Vec<Row> {
    [
        locks::ROWS,
        memory::ROWS,
        queues::ROWS,
        pipes::ROWS,
        processes::ROWS,
        pools::ROWS,
        managers::ROWS,
        copies::ROWS,
    ]
    .concat()
}

/// Makes what the samples of a row find: programs, files.
pub fn prepare(row: &Row) -> Result<(), String> {
    if row.name.starts_with("copy-") { copies::prepare(row.name) } else { Ok(()) }
}

/// A peer with a goal: the greatest ratio of our time to its time.
const fn goal(name: &'static str, at_most: f64, measure: crate::row::Measure) -> Peer {
    Peer { name, goal: Some(at_most), measure }
}

/// A peer for the record.
const fn record(name: &'static str, measure: crate::row::Measure) -> Peer {
    Peer { name, goal: None, measure }
}
