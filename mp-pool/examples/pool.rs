//! Four workers: all results in order, results as they come, and one with a time limit.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::thread::sleep;
use std::time::Duration;

use mp_pool::{Error, Pool};

fn square(number: u64) -> u64 {
    number * number
}

fn main() -> Result<(), Error> {
    mp_process::init();
    let pool = Pool::new(4)?;
    println!("{:?}", pool.map(square, 0..10)?);

    let mut squares = pool.imap_unordered(square, 0..10).collect::<Result<Vec<_>, _>>()?;
    squares.sort();
    println!("{squares:?}");

    let answer = pool.apply_async(square, 10)?;
    println!("{}", answer.get_timeout(Duration::from_secs(10))?);

    let late = pool.apply_async(sleep, Duration::from_secs(60))?;
    match late.get_timeout(Duration::from_millis(50)) {
        Err(Error::TimedOut) => println!("timed out"),
        other => println!("{other:?}"),
    }
    Ok(())
}
