//! mp-shm.

use mp_shm::{Array, Value};

use super::goal;
use crate::peers::floor;
use crate::process::{per_op, pin_to};
use crate::row::Row;

pub const ROWS: &[Row] = &[
    Row {
        name: "value-add",
        what: "fetch_add on a shared counter; one thread",
        pinned: "CPU 0",
        waits: "nobody waits",
        ours: value_add,
        peers: &[goal("atomic", 1.1, floor::atomic_add)],
    },
    Row {
        name: "array-copy",
        what: "1 MiB out of a shared array into a warm buffer; one thread",
        pinned: "CPU 0",
        waits: "nobody waits",
        ours: array_copy,
        peers: &[goal("memcpy", 1.0 / 0.9, floor::memcpy_1mib)],
    },
];

fn value_add() -> Result<f64, String> {
    pin_to(0);
    let counter = Value::new(0_u64).map_err(|error| error.to_string())?;
    const COUNT: usize = 20_000_000;
    Ok(per_op(COUNT, || {
        for _ in 0..COUNT {
            counter.fetch_add(1);
        }
    }))
}

fn array_copy() -> Result<f64, String> {
    pin_to(0);
    const ROUNDS: usize = 2_000;
    let mut to = vec![0_u64; (1 << 20) / 8];
    let array = Array::from_slice(&vec![1_u64; to.len()]).map_err(|error| error.to_string())?;
    Ok(per_op(ROUNDS, || {
        for _ in 0..ROUNDS {
            array.copy_to_slice(std::hint::black_box(&mut to)).expect("same length");
        }
    }))
}
