//! Uses the queues of a `remote_server`: `remote_client ADDRESS ask`, and `work` in one or more
//! others; `stop` ends the server.

use mp_manager::{Address, Error, Event, Key, Manager, Queue};

fn work(jobs: &Queue<u32>, squares: &Queue<u64>) -> Result<(), Error> {
    loop {
        match jobs.get() {
            Ok(job) => squares.put(u64::from(job).pow(2))?,
            Err(Error::Closed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program speaks")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    mp_process::init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [place, what] = &words[..] else { return Err("usage: remote_client ADDRESS WHAT".into()) };
    let address = place.parse().map_or_else(|_| Address::Unix(place.into()), Address::Tcp);
    let manager = Manager::connect(&address, &Key::from(&b"between you and me"[..]))?;
    let jobs: Queue<u32> = manager.named("jobs")?;
    let squares: Queue<u64> = manager.named("squares")?;
    match what.as_str() {
        "ask" => {
            jobs.extend(1..=10)?;
            let sum = (0..10).map(|_| squares.get()).sum::<Result<u64, _>>()?;
            println!("sum of squares: {sum}");
            jobs.close()?;
        }
        "work" => work(&jobs, &squares)?,
        "wrong" => drop(manager.named::<Queue<String>>("jobs")?),
        _ => manager.named::<Event>("over")?.set()?,
    }
    Ok(())
}
