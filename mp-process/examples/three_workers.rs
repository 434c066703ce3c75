//! Three processes with three functions, kept in a list.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::process::id;

use mp_process::Process;

fn eat(parent: u32) {
    println!("{parent} - {} eats", id());
}

fn sleep(parent: u32) {
    println!("{parent} - {} sleeps", id());
}

fn learn(parent: u32) {
    println!("{parent} - {} learns", id());
}

fn main() -> Result<(), mp_process::Error> {
    mp_process::init();
    let mut jobs = Vec::new();
    for function in [eat, sleep, learn] as [fn(u32); 3] {
        jobs.push(Process::new(function, id()).start()?);
    }
    for job in jobs {
        job.join()?;
    }
    Ok(())
}
