//! A lock, so that one process at a time prints.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::error::Error;

use mp_process::Process;
use mp_sync::Mutex;

fn greet((lock, number): (Mutex<u64>, u32)) {
    let mut lines = lock.lock().unwrap();
    println!("hello from {number}");
    println!("goodbye from {number}");
    *lines += 2;
}

fn main() -> Result<(), Box<dyn Error>> {
    mp_process::init();
    let lock = Mutex::new(0)?;
    let children = (0..10)
        .map(|number| Process::new(greet, (lock.clone(), number)).start())
        .collect::<Result<Vec<_>, _>>()?;
    for child in children {
        child.join()?;
    }
    println!("{} lines", *lock.lock().unwrap());
    Ok(())
}
