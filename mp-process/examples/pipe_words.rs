//! Parent and child talk over a pipe, until the word is 'finish'.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::error::Error;

use mp_ipc::{Connection, pipe};
use mp_process::Process;

fn listen(connection: Connection<usize, String>) {
    loop {
        let message = connection.recv().unwrap();
        println!("child: {message}");
        connection.send(&message.len()).unwrap();
        if message == "finish" {
            break;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    mp_process::init();
    let (ours, theirs) = pipe::<String, usize>()?;
    let child = Process::new(listen, theirs).start()?;
    for word in ["a", "few", "words", "finish"] {
        ours.send(&word.to_owned())?;
        println!("parent: it has {} letters", ours.recv()?);
    }
    child.join()?;
    Ok(())
}
