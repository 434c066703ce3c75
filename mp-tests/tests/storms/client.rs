//! A manager, and the clients that die on it.

use std::time::Duration;

use mp_manager::{Dict, Error, JoinableQueue, Lock, LockError, Manager, Semaphore};
use serde::{Deserialize, Serialize};

use crate::timed;

/// What a manager's clients share.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Managed {
    /// `a` and `b` are changed together, with the lock.
    pair: Dict<String, u64>,
    lock: Lock,
    semaphore: Semaphore,
    jobs: JoinableQueue<u64>,
}

impl Managed {
    pub(crate) fn new(manager: &Manager) -> Result<Managed, Error> {
        Ok(Managed {
            pair: manager.dict()?,
            lock: manager.lock()?,
            semaphore: manager.semaphore(2)?,
            jobs: manager.joinable_queue(0)?,
        })
    }

    /// One round of a client's work; also what a survivor does to see that all goes on. Returns
    /// whether the pair was torn in silence.
    fn round(&self) -> Result<bool, Error> {
        let torn = match self.lock.lock_timeout(crate::SOON) {
            Ok(_guard) => {
                let torn = self.pair.get("a")? != self.pair.get("b")?;
                self.add("a")?;
                self.add("b")?;
                torn
            }
            Err(LockError::OwnerDied(_guard)) => {
                let a = self.pair.get("a")?.unwrap_or(0);
                self.pair.set("b", &a)?;
                self.pair.set("a", &a)?;
                false
            }
            Err(LockError::Failed(error)) => return Err(error),
        };
        let _permit = self.semaphore.acquire_timeout(crate::SOON)?;
        if self.jobs.try_get().is_ok() {
            self.jobs.task_done()?;
        }
        Ok(torn)
    }

    fn add(&self, key: &str) -> Result<(), Error> {
        self.pair.update_in(key, |n| Some(n.unwrap_or(0) + 1)).map(drop)
    }

    /// What a survivor sees, and how long it takes.
    pub(crate) fn probe(&self, job: u64) -> Duration {
        let (torn, took) = timed(|| {
            self.jobs.put(job).map_err(Error::from)?;
            self.round()
        });
        assert!(!torn.expect("the manager serves its survivors"), "torn behind a manager's lock");
        took
    }
}

/// Ends when the server does.
pub(crate) fn work(managed: Managed) {
    loop {
        match managed.round() {
            Ok(torn) => assert!(!torn, "torn behind a manager's lock"),
            Err(Error::Disconnected) => return,
            Err(error) => panic!("a client: {error}"),
        }
    }
}
