//! A queue with a maximum: one process fills it, another empties it.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::error::Error;

use mp_ipc::Queue;
use mp_process::Process;

fn download(queue: Queue<u32>) {
    for page in [11, 22, 33, 44] {
        queue.put(page).unwrap();
    }
    println!("downloader: full: {}", queue.is_full());
    println!("downloader: one more: {}", queue.try_put(55).is_ok());
}

fn analyse(queue: Queue<u32>) {
    let mut sum = 0;
    while !queue.is_empty() {
        sum += queue.get().unwrap();
    }
    println!("analyser: {sum}");
}

fn main() -> Result<(), Box<dyn Error>> {
    mp_process::init();
    let queue = Queue::new(4)?;
    println!("empty: {}", queue.is_empty());
    Process::new(download, queue.clone()).start()?.join()?;
    Process::new(analyse, queue.clone()).start()?.join()?;
    println!("empty: {}", queue.is_empty());
    println!("one more: {}", queue.try_get().is_ok());
    Ok(())
}
