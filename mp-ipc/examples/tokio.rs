//! A connection under tokio: the task sleeps, not the thread.
#![expect(clippy::print_stdout, reason = "what a program is for")]
#![expect(unsafe_code, reason = "tokio wants to be told that the descriptor stays the same")]

use std::thread;
use std::time::Duration;

use mp_ipc::{Connection, Error, pipe};
use tokio::io::unix::AsyncFd;
use tokio::time::{interval, sleep};

async fn recv(connection: &AsyncFd<Connection<u32, String>>) -> Result<String, Error> {
    loop {
        let mut ready = connection.readable().await.expect("the reactor runs");
        match connection.get_ref().try_recv() {
            Err(Error::Empty) => ready.clear_ready(),
            result => return result,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (here, there) = pipe::<u32, String>()?;
    let other = thread::spawn(move || {
        while let Ok(number) = there.recv() {
            thread::sleep(Duration::from_millis(20));
            there.send(&format!("{number} squared is {}", number * number)).unwrap();
        }
    });
    let ticks = tokio::spawn(async {
        let mut ticks = interval(Duration::from_millis(1));
        loop {
            ticks.tick().await;
        }
    });

    // SAFETY: a connection owns its descriptor, and it is the same one to its end.
    let connection = unsafe { AsyncFd::register(here) }.expect("a socket can be watched");
    for number in 1..=3 {
        connection.get_ref().send(&number)?;
        println!("{}", recv(&connection).await?);
    }
    sleep(Duration::from_millis(1)).await;
    assert!(!ticks.is_finished(), "it ticked all the while");
    drop(connection);
    other.join().unwrap();
    Ok(())
}
