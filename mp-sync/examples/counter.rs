//! Four processes count to 4,000 together; one of them is killed half-way.

use mp_sync::{LockError, Mutex};
use mp_sys::fork::{self, Fork};
use mp_sys::pidfd;

#[expect(unsafe_code, reason = "this process has one thread when it forks")]
#[expect(clippy::print_stdout, reason = "an example")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = Mutex::new(0_u32)?;
    let mut children = Vec::new();
    for _ in 0..4 {
        // SAFETY: there are no other threads.
        match unsafe { fork::fork() }? {
            Fork::Parent(pid) => children.push(pidfd::open(pid)?),
            Fork::Child => {
                for _ in 0..1000 {
                    let mut guard = count.lock().or_else(LockError::recover).unwrap();
                    *guard += 1;
                }
                fork::exit_now(0);
            }
        }
    }
    pidfd::signal(&children[0], 9)?;
    for child in &children {
        while pidfd::try_reap(child)?.is_none() {
            std::thread::yield_now();
        }
    }
    let total = *count.lock().or_else(LockError::recover)?;
    println!("the three that lived, and some of the fourth: {total}");
    assert!((3000..=4000).contains(&total));
    Ok(())
}
