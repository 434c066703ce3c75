//! Name, pid, daemon and exit code of processes, and who is alive.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::process::id;
use std::thread::sleep;
use std::time::Duration;

use mp_process::{Process, active_children, cpu_count, current};

fn worker(number: u32) {
    println!("{} has pid {} and got {number}", current().name(), id());
}

fn linger(pause: Duration) {
    sleep(pause);
    println!("{} ends", current().name());
}

fn leave(code: i32) {
    std::process::exit(code);
}

fn main() -> Result<(), mp_process::Error> {
    mp_process::init();
    println!("cpus: {}", cpu_count());
    let long = Duration::from_secs(60);
    let daemon = Process::new(linger, long).name("daemon").daemon(true).start()?;
    let doomed = Process::new(linger, long).name("doomed").start()?;
    let _slow = Process::new(linger, Duration::from_millis(300)).name("slow").start()?;
    for child in active_children() {
        println!("alive: {} {}", child.name(), child.pid());
    }
    let worker = Process::new(worker, 100).name("worker").start()?;
    println!("worker: {:?}", worker.wait().number());
    let leaver = Process::new(leave, 3).name("leaver").start()?;
    println!("leaver: {:?}", leaver.wait().number());
    doomed.terminate()?;
    println!("doomed: {:?}", doomed.wait().number());
    println!("daemon: {:?}", daemon.exitcode());
    Ok(())
}
