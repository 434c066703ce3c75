//! Ten tasks for three workers; then the pool is closed and waited for.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::process::id;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mp_pool::{Error, Pool};

fn work(task: u64) {
    let start = Instant::now();
    sleep(Duration::from_millis(10));
    println!("task {task} ran in {} for {} ms", id(), start.elapsed().as_millis());
}

fn main() -> Result<(), Error> {
    mp_process::init();
    let pool = Pool::new(3)?;
    for task in 0..10 {
        pool.apply_async(work, task)?;
    }
    pool.close();
    pool.join()?;
    println!("all are done");
    Ok(())
}
