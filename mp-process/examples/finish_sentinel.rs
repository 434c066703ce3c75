//! A consumer looks whether there is a message, and stops at 'finish'.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use mp_ipc::Queue;
use mp_process::Process;

fn consume(queue: Queue<String>) {
    loop {
        if queue.is_empty() {
            sleep(Duration::from_millis(1));
            continue;
        }
        let message = queue.get().unwrap();
        println!("child: {message}");
        if message == "finish" {
            break;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    mp_process::init();
    let queue = Queue::new(16)?;
    let child = Process::new(consume, queue.clone()).start()?;
    for number in 0..5 {
        queue.put(format!("message {number}"))?;
    }
    queue.put("finish".to_owned())?;
    child.join()?;
    println!("parent: the queue is empty: {}", queue.is_empty());
    Ok(())
}
