//! Fork or spawn, chosen for each process.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::error::Error;

use mp_ipc::Queue;
use mp_process::{Process, StartMethod};

fn greet((queue, method): (Queue<String>, String)) {
    queue.put(format!("hello by {method}")).unwrap();
}

fn main() -> Result<(), Box<dyn Error>> {
    mp_process::init();
    let queue = Queue::new(1)?;
    for method in [StartMethod::Fork, StartMethod::Spawn] {
        let name = format!("{method:?}").to_lowercase();
        let child = Process::new(greet, (queue.clone(), name)).method(method).start()?;
        println!("{}", queue.get()?);
        child.join()?;
    }
    Ok(())
}
