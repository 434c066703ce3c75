//! What lock users meet at besides the lock: readers and writers, buyers, and a barrier.

use std::time::Duration;

use mp_sync::{Barrier, Condvar, Error, LockError, Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;
use crate::timed;

/// Nobody waits longer for company.
const PATIENCE: Duration = Duration::from_millis(2);

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Parties {
    /// Both halves are equal whenever nobody writes.
    board: RwLock<[u64; 2]>,
    goods: Mutex<u64>,
    delivered: Condvar,
    barrier: Barrier,
}

impl Parties {
    pub(crate) fn new() -> Parties {
        Parties {
            board: RwLock::new([0, 0]).unwrap(),
            goods: Mutex::new(0).unwrap(),
            delivered: Condvar::new().unwrap(),
            barrier: Barrier::new(2).unwrap(),
        }
    }

    pub(crate) fn meet(&self, round: usize, ledger: &Ledger) {
        let (met, took) = timed(|| match round % 5 {
            0 => self.write(ledger),
            1 => self.read(ledger),
            2 => self.buy(),
            3 => self.deliver(),
            _ => self.wait_for_another(),
        });
        met.expect("what the dead held comes to the living");
        ledger.was_late(took.saturating_sub(PATIENCE));
    }

    fn write(&self, ledger: &Ledger) -> Result<(), Error> {
        let mut pair = match self.board.write_timeout(crate::SOON) {
            Ok(pair) => {
                if pair[0] != pair[1] {
                    ledger.is_torn();
                }
                pair
            }
            died => died.or_else(LockError::recover)?,
        };
        pair[0] += 1;
        pair[1] = pair[0];
        Ok(())
    }

    fn read(&self, ledger: &Ledger) -> Result<(), Error> {
        match self.board.read_timeout(crate::SOON) {
            Ok(pair) if pair[0] != pair[1] => ledger.is_torn(),
            Ok(_) => {}
            // A writer will see to it.
            died => drop(died.or_else(LockError::recover)?),
        }
        Ok(())
    }

    fn buy(&self) -> Result<(), Error> {
        let goods = self.goods.lock_timeout(crate::SOON).or_else(LockError::recover)?;
        let bought = self.delivered.wait_timeout_while(goods, PATIENCE, |goods| **goods == 0);
        let (mut goods, _) = bought.or_else(LockError::recover)?;
        *goods = goods.saturating_sub(1);
        Ok(())
    }

    fn deliver(&self) -> Result<(), Error> {
        *self.goods.lock_timeout(crate::SOON).or_else(LockError::recover)? += 1;
        self.delivered.notify_one();
        Ok(())
    }

    fn wait_for_another(&self) -> Result<(), Error> {
        match self.barrier.wait_timeout(PATIENCE) {
            Ok(_) => {}
            Err(Error::Broken | Error::TimedOut) => self.barrier.reset(),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
