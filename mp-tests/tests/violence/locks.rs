//! The operations of mp-sync.

use std::time::{Duration, Instant};

use mp_sync::{LockError, Mutex};
use mp_tests::step::Scene;

use crate::Operation;

pub const OPERATIONS: &[Operation] =
    &[Operation::new("mutex: lock and unlock, free", || Box::new(Free::new()))];

/// A survivor that waits longer than this is blocked.
const SOON: Duration = Duration::from_secs(2);
/// The deadline of a call that is expected to pass it.
const BRIEFLY: Duration = Duration::from_millis(20);

/// Says so if `act` took longer than its deadline and a tenth of a second.
pub fn in_time<R>(deadline: Duration, act: impl FnOnce() -> R) -> Result<R, String> {
    let start = Instant::now();
    let result = act();
    let late = start.elapsed().saturating_sub(deadline);
    if late > Duration::from_millis(100) {
        return Err(format!("{late:?} past its deadline of {deadline:?}"));
    }
    Ok(result)
}

/// Both halves are equal whenever nobody is at work.
type Pair = [u64; 2];

/// Takes the lock, whether or not its holder died, and checks that only a death left halves.
fn check_pair(lock: &Mutex<Pair>) -> Result<(), String> {
    let mut pair = match lock.lock_timeout(SOON) {
        Ok(pair) if pair[0] != pair[1] => {
            return Err(format!("torn, and nobody said so: {:?}", *pair));
        }
        Ok(pair) => pair,
        Err(LockError::OwnerDied(pair)) => pair,
        Err(LockError::Failed(error)) => return Err(format!("a survivor cannot lock: {error}")),
    };
    *pair = [7, 7];
    drop(pair);
    match lock.try_lock() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the second survivor: {error}")),
    }
}

struct Free {
    lock: Mutex<Pair>,
}

impl Free {
    fn new() -> Free {
        Free { lock: Mutex::new([0, 0]).expect("memory") }
    }
}

impl Scene for Free {
    fn act(&self) {
        let mut pair = self.lock.lock().expect("nobody died");
        pair[0] += 1;
        pair[1] += 1;
    }

    fn check(&self, _finished: bool) -> Result<(), String> {
        check_pair(&self.lock)
    }

    fn look_at_paused(&self) -> Result<(), String> {
        match in_time(BRIEFLY, || self.lock.lock_timeout(BRIEFLY))? {
            Ok(pair) if pair[0] != pair[1] => {
                Err(format!("taken from a paused holder: {:?}", *pair))
            }
            Err(LockError::OwnerDied(_)) => Err("a paused holder was taken for dead".to_owned()),
            Ok(_) | Err(LockError::Failed(_)) => Ok(()),
        }
    }
}
