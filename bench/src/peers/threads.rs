//! What stays within one process: std's and parking_lot's mutexes, rayon.

use rayon::prelude::*;

use crate::process::{per_op, pin_to};

const LOCKS: usize = 10_000_000;

pub fn std_mutex() -> Result<f64, String> {
    pin_to(0);
    let mutex = std::sync::Mutex::new(0_u64);
    Ok(per_op(LOCKS, || {
        for _ in 0..LOCKS {
            *std::hint::black_box(&mutex).lock().expect("no panic") += 1;
        }
    }))
}

pub fn parking_lot_mutex() -> Result<f64, String> {
    pin_to(0);
    let mutex = parking_lot::Mutex::new(0_u64);
    Ok(per_op(LOCKS, || {
        for _ in 0..LOCKS {
            *std::hint::black_box(&mutex).lock() += 1;
        }
    }))
}

/// A million numbers changed in place on two threads, by a function that rayon does not see into,
/// just as ours.
pub fn rayon_in_place() -> Result<f64, String> {
    const COUNT: usize = 1_000_000;
    const ROUNDS: usize = 20;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.map_err(|error| error.to_string())?;
    let increment: fn(u64) -> u64 = std::hint::black_box(|x| x + 1);
    let mut numbers = vec![0_u64; COUNT];
    let mut round = || pool.install(|| numbers.par_iter_mut().for_each(|x| *x = increment(*x)));
    round();
    Ok(per_op(ROUNDS * COUNT, || (0..ROUNDS).for_each(|_| round())))
}

/// A parallel map of a million small items on two threads.
pub fn rayon_map() -> Result<f64, String> {
    const COUNT: usize = 1_000_000;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.map_err(|error| error.to_string())?;
    let run = |count: u64| -> Vec<u64> {
        pool.install(|| (0..count).into_par_iter().map(|x| std::hint::black_box(x) + 1).collect())
    };
    run(1000);
    Ok(per_op(COUNT, || drop(std::hint::black_box(run(COUNT as u64)))))
}
