//! mp-pool, with more and more workers and tasks.

use mp_pool::Pool;

use super::{Table, text};
use crate::process::per_op;

pub const TABLES: &[Table] = &[
    Table {
        name: "workers",
        what: "nanoseconds for one task: `map` of a million, `imap` in chunks of one, `apply` \
                   one at a time; nothing pinned",
        columns: &["workers", "map", "imap, chunk 1", "apply", "start and end the pool, us"],
        sizes: &[1, 2, 4, 8, 16],
        take: |workers| {
            let mut pool = Err("not started".to_owned());
            let up = per_op(1000, || pool = Pool::new(workers).map_err(text));
            let pool = pool?;
            let map = map(&pool, 1_000_000)?;
            let imap = imap(&pool, 50_000)?;
            let apply = apply(&pool, 5_000)?;
            Ok(vec![map, imap, apply, up + per_op(1000, || drop(pool))])
        },
    },
    Table {
        name: "tasks",
        what: "nanoseconds for one task of so many, two workers: `map`, `imap` in chunks of \
                   one, and `apply_async` of all before the first `get`; nothing pinned",
        columns: &["tasks", "map", "imap, chunk 1", "apply_async"],
        sizes: &[10, 100, 1_000, 10_000, 100_000, 1_000_000],
        take: |tasks| {
            let pool = Pool::new(2).map_err(text)?;
            Ok(vec![map(&pool, tasks)?, imap(&pool, tasks)?, at_once(&pool, tasks)?])
        },
    },
];

pub fn increment(x: u64) -> u64 {
    x + 1
}

fn map(pool: &Pool, tasks: usize) -> Result<f64, String> {
    pool.map(increment, 0..100).map_err(text)?;
    let mut result = Ok(Vec::new());
    let time = per_op(tasks, || result = pool.map(increment, 0..tasks as u64));
    result.map_err(text).map(|_| time)
}

fn imap(pool: &Pool, tasks: usize) -> Result<f64, String> {
    let mut result = Ok(0);
    let time = per_op(tasks, || {
        let mut results = pool.with().chunk(1).imap(increment, 0..tasks as u64);
        result = results.try_fold(0, |sum, y| y.map(|y| sum + y));
    });
    result.map_err(text).map(|_| time)
}

fn apply(pool: &Pool, tasks: usize) -> Result<f64, String> {
    let mut result = Ok(0);
    let time = per_op(tasks, || {
        for i in 0..tasks as u64 {
            result = pool.apply(increment, i);
        }
    });
    result.map_err(text).map(|_| time)
}

fn at_once(pool: &Pool, tasks: usize) -> Result<f64, String> {
    let mut result = Ok(0);
    let time = per_op(tasks, || {
        let answers: Result<Vec<_>, _> =
            (0..tasks as u64).map(|i| pool.apply_async(increment, i)).collect();
        result = answers.and_then(|answers| {
            answers.iter().try_fold(0, |sum, answer| answer.get().map(|y| sum + y))
        });
    });
    result.map_err(text).map(|_| time)
}
