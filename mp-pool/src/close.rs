//! The end of a pool: closed, terminated, joined, dropped.

use std::time::Duration;

use mp_sys::Deadline;

use crate::core::Phase;
use crate::{Error, Pool};

/// How long a worker that is asked to end by SIGTERM has before SIGKILL.
const GRACE: Duration = Duration::from_millis(100);

impl Pool {
    /// Takes no more tasks; those that were handed in are done, and then the workers end.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let last = pool.apply_async(|x: u64| x * x, 3)?;
    /// pool.close();
    /// assert!(pool.apply(|x: u64| x * x, 4).is_err());
    /// assert_eq!(last.get()?, 9);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `Pool.close()`, `Executor.shutdown(wait=False)`.
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        self.inner.with(|core| {
            if core.phase == Phase::Open {
                core.phase = Phase::Closed;
            }
        });
        self.inner.bell.knock();
    }

    /// As [`close`](Pool::close), and tasks that have not begun are cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let naps = (0..20).map(|_| pool.apply_async(nap, 30)).collect::<Result<Vec<_>, _>>()?;
    /// pool.close_and_cancel();
    /// pool.join()?;
    /// assert!(naps.iter().all(|nap| nap.ready()));
    /// assert!(naps[19].get().is_err(), "it had not begun");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `Executor.shutdown(wait=False, cancel_futures=True)`.
    #[doc(alias = "cancel_futures")]
    pub fn close_and_cancel(&self) {
        self.close();
        self.inner.with(|core| {
            core.admits = false;
            let ids = core.ledger.ids().map(|(id, _)| id).collect();
            core.withdraw(ids);
        });
        self.inner.bell.ring();
    }

    /// Ends everything: results that have not come are [`TaskError::Cancelled`], workers are sent
    /// SIGTERM, and SIGKILL a tenth of a second later.
    ///
    /// [`TaskError::Cancelled`]: crate::TaskError::Cancelled
    ///
    /// Returns at once; [`join`](Pool::join) waits. A thread cannot be ended: a thread-backed pool
    /// leaves its running tasks behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, TaskError};
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let naps = pool.map_async(nap, [500; 10])?;
    /// pool.terminate();
    /// assert!(matches!(naps.get(), Err(Error::Task(TaskError::Cancelled))));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `Pool.terminate()`, `Executor.terminate_workers()`.
    #[doc(alias = "terminate_workers")]
    pub fn terminate(&self) {
        self.inner.end(GRACE);
    }

    /// As [`terminate`](Pool::terminate), with SIGKILL at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::Pool;
    ///
    /// fn main() -> Result<(), mp_pool::Error> {
    ///     mp_process::init();
    ///     let pool = Pool::new(2)?;
    ///     let endless = pool.apply_async(|()| -> u8 { loop { std::thread::park() } }, ())?;
    ///     pool.kill();
    ///     pool.join()?;
    ///     assert!(endless.get().is_err());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Python: `Executor.kill_workers()`.
    #[doc(alias = "kill_workers")]
    pub fn kill(&self) {
        self.inner.end(Duration::ZERO);
    }

    /// Waits until a closed or terminated pool has ended: all results are there, all callbacks
    /// have run, all workers are gone.
    ///
    /// # Blocking
    ///
    /// Waits for the tasks that were handed in, and for callbacks. A worker that dies is replaced
    /// while there is something to do: *recovers*. A task or a callback that never ends is waited
    /// for.
    ///
    /// # Errors
    ///
    /// [`Error::StillOpen`] if the pool would go on for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::Error;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// assert!(matches!(pool.join(), Err(Error::StillOpen)));
    /// pool.close();
    /// pool.join()?;
    /// assert!(pool.stats().workers.is_empty());
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `Pool.join()`, `Executor.shutdown(wait=True)`.
    pub fn join(&self) -> Result<(), Error> {
        self.join_until(None)
    }

    /// As [`join`](Pool::join), but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when the time is up. Otherwise as `join`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_pool::Error;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// # fn nap(millis: u64) -> u64 {
    /// #     std::thread::sleep(std::time::Duration::from_millis(millis));
    /// #     millis
    /// # }
    /// let last = pool.apply_async(nap, 200)?;
    /// pool.close();
    /// assert!(matches!(pool.join_timeout(Duration::from_millis(1)), Err(Error::TimedOut)));
    /// pool.join_timeout(Duration::from_secs(60))?;
    /// assert!(last.ready());
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.join_until(Some(Deadline::after(timeout)))
    }

    fn join_until(&self, deadline: Option<Deadline>) -> Result<(), Error> {
        if self.inner.core.lock().phase == Phase::Open {
            return Err(Error::StillOpen);
        }
        if !self.inner.wait_gone(deadline) {
            return Err(Error::TimedOut);
        }
        self.inner.callbacks.join();
        Ok(())
    }
}

impl Drop for Pool {
    /// Terminates the pool and waits until its workers are gone.
    fn drop(&mut self) {
        // A copy of the pool in a forked child is not the child's to end.
        if self.inner.creator == std::process::id() {
            self.terminate();
            self.inner.wait_gone(None);
        }
    }
}
