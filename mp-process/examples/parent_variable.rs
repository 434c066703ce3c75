//! A child has variables of its own: it cannot change its parent's.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mp_process::Process;

static A: AtomicU32 = AtomicU32::new(1);

fn change() {
    println!("child: a = {}", A.load(Relaxed));
    A.store(1000, Relaxed);
    println!("child: a = {}", A.load(Relaxed));
}

fn main() -> Result<(), mp_process::Error> {
    mp_process::init();
    Process::call(change).start()?.join()?;
    println!("parent: a = {}", A.load(Relaxed));
    Ok(())
}
