//! mp-pool, with two workers.

use mp_pool::Pool;
use mp_shm::Array;
use serde_bytes::ByteBuf;

use super::{goal, record};
use crate::peers::{floor, procspawn, python, threads};
use crate::process::per_op;
use crate::row::Row;

pub const ROWS: &[Row] = &[
    Row {
        name: "pool-map",
        what: "map of a million small items, two workers; time for one item",
        pinned: "not at all",
        waits: "blocking",
        ours: map,
        peers: &[
            goal("rayon", 2.0, threads::rayon_map),
            goal("python-pool", 1.0 / 8.0, python::pool_map),
        ],
    },
    Row {
        name: "pool-map-array",
        what: "map of a million shared numbers in place, two workers; time for one number",
        pinned: "not at all",
        waits: "blocking",
        ours: map_array,
        peers: &[goal("rayon-in-place", 2.0, threads::rayon_in_place)],
    },
    Row {
        name: "pool-stream",
        what: "single tasks streamed (imap, chunks of one), two workers; time for one task",
        pinned: "not at all",
        waits: "blocking after a spin; the peers blocking",
        ours: stream,
        peers: &[
            goal("python-imap", 1.0 / 50.0, python::pool_stream),
            goal("procspawn-pool", 1.0 / 50.0, procspawn::pool_stream),
        ],
    },
    Row {
        name: "pool-apply",
        what: "one task there and back, two workers",
        pinned: "not at all; the futex: CPUs 0 and 1",
        waits: "blocking after a spin; the peers blocking",
        ours: apply,
        peers: &[goal("futex", 2.0, floor::futex_rtt), record("python-apply", python::pool_apply)],
    },
    Row {
        name: "pool-big",
        what: "one task with an argument of 64 MiB",
        pinned: "not at all",
        waits: "blocking",
        ours: big,
        peers: &[goal("python-apply", 1.0 / 4.0, python::pool_big)],
    },
];

fn text(error: mp_pool::Error) -> String {
    error.to_string()
}

fn increment(x: u64) -> u64 {
    x + 1
}

fn length(data: ByteBuf) -> usize {
    data.len()
}

fn warm_pool() -> Result<Pool, String> {
    let pool = Pool::new(2).map_err(text)?;
    pool.map(increment, 0..100).map_err(text)?;
    Ok(pool)
}

fn map() -> Result<f64, String> {
    const COUNT: usize = 1_000_000;
    let pool = warm_pool()?;
    let mut result = Ok(Vec::new());
    let time = per_op(COUNT, || result = pool.map(increment, 0..COUNT as u64));
    match result.map_err(text)?.last() {
        Some(last) if *last == COUNT as u64 => Ok(time),
        last => Err(format!("the last item is {last:?}")),
    }
}

fn map_array() -> Result<f64, String> {
    const COUNT: usize = 1_000_000;
    const ROUNDS: usize = 20;
    let pool = warm_pool()?;
    let array = Array::from_slice(&vec![0_u64; COUNT]).map_err(|error| error.to_string())?;
    pool.map_array(increment, &array).map_err(text)?;
    let mut result = Ok(());
    let time = per_op(ROUNDS * COUNT, || {
        for _ in 0..ROUNDS {
            result = pool.map_array(increment, &array);
        }
    });
    result.map_err(text)?;
    match array.get(COUNT - 1) {
        Some(21) => Ok(time),
        last => Err(format!("the last number is {last:?}")),
    }
}

fn stream() -> Result<f64, String> {
    const COUNT: usize = 200_000;
    let pool = warm_pool()?;
    let mut sum = Ok(0);
    let time = per_op(COUNT, || {
        let mut results = pool.with().chunk(1).imap(increment, 0..COUNT as u64);
        sum = results.try_fold(0, |sum, y| y.map(|y| sum + y));
    });
    sum.map_err(|error| error.to_string()).map(|_| time)
}

fn apply() -> Result<f64, String> {
    const COUNT: usize = 10_000;
    let pool = warm_pool()?;
    let mut result = Ok(0);
    let time = per_op(COUNT, || {
        for i in 0..COUNT as u64 {
            result = pool.apply(increment, i);
        }
    });
    result.map_err(text).map(|_| time)
}

fn big() -> Result<f64, String> {
    let pool = warm_pool()?;
    let data = ByteBuf::from(vec![7; 64 << 20]);
    pool.apply(length, data.clone()).map_err(text)?;
    // The call takes its argument by value; Python's keeps it, so the copies are made before.
    let copies = vec![data; 3];
    let mut result = Ok(0);
    let time = per_op(3, || copies.into_iter().for_each(|data| result = pool.apply(length, data)));
    result.map_err(text).map(|_| time)
}
