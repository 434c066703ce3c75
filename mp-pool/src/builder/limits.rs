//! How far a worker, a task and a pool may go.

use std::time::Duration;

use super::Builder;

impl Builder {
    /// Replaces a worker after so many tasks; a chunk is one task.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = mp_pool::Pool::builder().workers(1).threads().tasks_per_worker(1).start()?;
    /// let name = |()| format!("{:?}", std::thread::current().id());
    /// assert_ne!(pool.apply(name, ())?, pool.apply(name, ())?, "a new one each time");
    /// assert_eq!(pool.stats().restarts, 0, "and none has died");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `maxtasksperchild`, `max_tasks_per_child`.
    #[doc(alias = "maxtasksperchild")]
    #[doc(alias = "max_tasks_per_child")]
    pub fn tasks_per_worker(mut self, tasks: u64) -> Builder {
        self.tasks_per_worker = Some(tasks);
        self
    }

    /// Replaces a worker process after a task that leaves it larger than `bytes`. Threads share
    /// their memory, and are not looked at.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::Pool;
    ///
    /// fn main() -> Result<(), mp_pool::Error> {
    ///     mp_process::init();
    ///     let pool = Pool::builder().workers(1).memory_per_worker(64 << 20).start()?;
    ///     let leak = |()| {
    ///         std::mem::forget(vec![1u8; 80 << 20]);
    ///         std::process::id()
    ///     };
    ///     assert_ne!(pool.apply(leak, ())?, pool.apply(leak, ())?, "each was the worker's last");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Python: billiard's `max_memory_per_child`.
    #[doc(alias = "max_memory_per_child")]
    pub fn memory_per_worker(mut self, bytes: u64) -> Builder {
        self.memory_per_worker = Some(bytes);
        self
    }

    /// The time limit of each task ([`With::timeout`](crate::With::timeout)).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_pool::{Error, Pool, TaskError};
    ///
    /// let pool = Pool::builder().workers(1).threads().timeout(Duration::from_millis(20)).start()?;
    /// let late = pool.apply(|()| std::thread::sleep(Duration::from_secs(1)), ());
    /// assert!(matches!(late, Err(Error::Task(TaskError::Timeout))));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Builder {
        self.limits.timeout = Some(limit);
        self
    }

    /// When a task is asked to stop ([`With::soft_timeout`](crate::With::soft_timeout)).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_pool::{Pool, should_stop};
    ///
    /// let pool = Pool::builder().workers(1).threads().soft_timeout(Duration::from_millis(20)).start()?;
    /// let rounds = pool.apply(|()| (0u64..).take_while(|_| !should_stop()).count(), ());
    /// assert!(rounds.is_ok(), "it ended in its own way");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn soft_timeout(mut self, limit: Duration) -> Builder {
        self.limits.soft_timeout = Some(limit);
        self
    }

    /// How often an item is tried again ([`With::retries`](crate::With::retries)).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    /// use mp_pool::Pool;
    ///
    /// static TRIES: AtomicU32 = AtomicU32::new(0);
    /// fn slow_at_first(_: ()) {
    ///     if TRIES.fetch_add(1, Ordering::SeqCst) == 0 {
    ///         std::thread::sleep(Duration::from_secs(2));
    ///     }
    /// }
    ///
    /// let builder = Pool::builder().workers(1).threads().timeout(Duration::from_millis(500));
    /// let pool = builder.retries(1).start()?;
    /// pool.apply(slow_at_first, ())?;
    /// assert_eq!(TRIES.load(Ordering::SeqCst), 2);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn retries(mut self, times: u32) -> Builder {
        self.limits.retries = times;
        self
    }

    /// Ends workers that have had nothing to do for so long; they come back when there is work.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = mp_pool::Pool::builder().workers(2).threads();
    /// let pool = pool.idle_timeout(Duration::from_millis(10)).start()?;
    /// while !pool.stats().workers.is_empty() {
    ///     std::thread::sleep(Duration::from_millis(5));
    /// }
    /// assert_eq!(pool.workers(), 2, "as many as there should be");
    /// assert_eq!(pool.apply(|x: u64| x + 1, 1)?, 2, "and one is back");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: loky's `timeout`.
    pub fn idle_timeout(mut self, time: Duration) -> Builder {
        self.idle_timeout = Some(time);
        self
    }

    /// Gives up when more than `deaths` workers have died within `period` that nobody ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use mp_pool::{Error, Pool};
    ///
    /// fn main() -> Result<(), Error> {
    ///     mp_process::init();
    ///     let pool = Pool::builder().workers(1).restart_limit(1, Duration::from_secs(60)).start()?;
    ///     for _ in 0..2 {
    ///         assert!(pool.apply(|code| -> () { std::process::exit(code) }, 3).is_err());
    ///     }
    ///     assert!(matches!(pool.apply(|()| (), ()), Err(Error::Broken(_))), "two are too many");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Python: billiard's `max_restarts`, `max_restart_freq`.
    #[doc(alias = "max_restarts")]
    pub fn restart_limit(mut self, deaths: u32, period: Duration) -> Builder {
        self.restarts = Some((deaths, period));
        self
    }
}
