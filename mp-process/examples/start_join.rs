//! Starts a process, goes on beside it, and waits for its end.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use mp_process::Process;

fn cook() {
    println!("child: the water boils");
    println!("child: the tea is ready");
}

fn main() -> Result<(), mp_process::Error> {
    mp_process::init();
    let child = Process::call(cook).start()?;
    println!("parent: lays the table meanwhile");
    child.join()?;
    println!("parent: drinks");
    Ok(())
}
