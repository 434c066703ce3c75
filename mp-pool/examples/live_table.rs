//! A live table of a pool's workers. Kill one of them and see.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::time::Duration;

use mp_pool::{Error, Pool, Stats};

fn work(millis: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(millis));
    millis
}

fn show(stats: &Stats) {
    println!("\x1b[H\x1b[Jworker     pid  state      tasks  queued   busy  restarts  memory");
    for worker in &stats.workers {
        let state = match worker.running {
            Some(time) => format!("{:>5} ms", time.as_millis()),
            None => "idle".into(),
        };
        println!(
            "{:>6} {:>7}  {state:<9} {:>6}  {:>6}  {:>4.0} %  {:>8}  {:>3} MiB",
            worker.index,
            worker.pid.unwrap_or(0),
            worker.tasks,
            worker.queued,
            100.0 * worker.busy.as_secs_f64() / (worker.busy + worker.idle).as_secs_f64(),
            worker.restarts,
            worker.memory.unwrap_or(0) >> 20,
        );
    }
    println!("{} done, {} waiting", stats.items, stats.waiting);
}

fn main() -> Result<(), Error> {
    mp_process::init();
    let pool = Pool::new(4)?;
    let result = pool.with().chunk(1).map_async(work, (0..100).map(|n| n * 37 % 60))?;
    while !result.wait_timeout(Duration::from_millis(100)) {
        show(&pool.stats());
    }
    show(&pool.stats());
    result.get()?;
    Ok(())
}
