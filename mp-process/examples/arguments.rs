//! A function with several arguments takes them as one tuple.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::thread::sleep;
use std::time::Duration;

use mp_process::Process;

fn worker((pause, name): (Duration, String)) {
    for round in 1..=3 {
        sleep(pause);
        println!("I am {name}, working: round {round}");
    }
}

fn main() -> Result<(), mp_process::Error> {
    mp_process::init();
    let arguments = (Duration::from_millis(5), "Tom".to_owned());
    Process::new(worker, arguments).start()?.join()
}
