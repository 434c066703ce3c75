//! A connection under tokio: the task sleeps, not the thread.
#![expect(clippy::print_stdout, reason = "what a program is for")]

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::thread;
use std::time::Duration;

use mp_ipc::{Connection, Error, pipe};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{interval, sleep};

/// A duplicate of the connection's descriptor, for tokio to watch.
fn watch(connection: &impl AsFd) -> std::io::Result<UnixStream> {
    let stream = StdStream::from(connection.as_fd().try_clone_to_owned()?);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

async fn recv(watch: &UnixStream, connection: &Connection<u32, String>) -> Result<String, Error> {
    let attempt = || match connection.try_recv() {
        Err(Error::Empty) => Err(ErrorKind::WouldBlock.into()),
        result => Ok(result),
    };
    watch.async_io(Interest::READABLE, attempt).await.expect("the reactor runs")
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

    let watch = watch(&here).expect("a socket can be watched");
    for number in 1..=3 {
        here.send(&number)?;
        println!("{}", recv(&watch, &here).await?);
    }
    sleep(Duration::from_millis(1)).await;
    assert!(!ticks.is_finished(), "it ticked all the while");
    drop((watch, here));
    other.join().unwrap();
    Ok(())
}
