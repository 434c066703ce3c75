//! A value goes from a child to its parent through a queue.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::error::Error;

use mp_ipc::Queue;
use mp_process::Process;

type Item = (u32, Option<u32>, String);

fn produce(queue: Queue<Item>) {
    queue.put((42, None, "hello".to_owned())).unwrap();
}

fn main() -> Result<(), Box<dyn Error>> {
    mp_process::init();
    let queue = Queue::new(4)?;
    let child = Process::new(produce, queue.clone()).start()?;
    let (number, nothing, word) = queue.get()?;
    println!("{number} {nothing:?} {word}");
    child.join()?;
    Ok(())
}
