//! procspawn: a child started with a function, and its pool.

use crate::process::per_op;

pub fn init() {
    procspawn::init();
}

fn echo(x: u64) -> u64 {
    x
}

/// Start a child that runs a function, and take its value.
pub fn start() -> Result<f64, String> {
    let one = || procspawn::spawn(1_u64, echo).join().map_err(|error| error.to_string());
    one()?;
    const ROUNDS: usize = 50;
    let mut result = Ok(0);
    let time = per_op(ROUNDS, || {
        for _ in 0..ROUNDS {
            result = result.clone().and(one());
        }
    });
    result.map(|_| time)
}

/// Many single tasks handed to a pool of two, all at once.
pub fn pool_stream() -> Result<f64, String> {
    let pool = procspawn::Pool::new(2).map_err(|error| error.to_string())?;
    const TASKS: usize = 2_000;
    let run = |count: usize| -> Result<(), String> {
        let handles: Vec<_> = (0..count as u64).map(|x| pool.spawn(x, echo)).collect();
        handles
            .into_iter()
            .try_for_each(|handle| handle.join().map(drop).map_err(|error| error.to_string()))
    };
    run(10)?;
    let mut result = Ok(());
    let time = per_op(TASKS, || result = run(TASKS));
    result.map(|()| time)
}
