//! `Barrier`: a meeting point.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::handle::Handle;
use crate::op::{BarrierOp, Op};
use crate::protocol::{Patience, Reply};
use crate::proxy::proxy;

/// A meeting point of a fixed number of parties that lives in a manager's server.
///
/// Python: `SyncManager.Barrier(parties, action, timeout)`; the action and the timeout are
/// arguments of the wait here.
///
/// # Examples
///
/// ```
/// # use mp_manager::{Error, Manager};
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let barrier = manager.barrier(2)?;
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait().unwrap());
///     let mine = barrier.wait()?;
///     assert_eq!(mine + other.join().unwrap(), 1, "one is 0, the other 1");
///     Ok::<(), Error>(())
/// })?;
/// barrier.abort()?;
/// assert!(matches!(barrier.wait(), Err(Error::Broken)));
/// # Ok(())
/// # }
/// ```
pub struct Barrier {
    pub(crate) handle: Arc<Handle>,
}

proxy!(Barrier, Barrier);

impl Barrier {
    /// Comes to the barrier and waits for the others. Each party of a meeting gets another number
    /// from 0 to `parties - 1`, in the order in which they came.
    ///
    /// # Blocking
    ///
    /// Waits for the last party. If a party that has come dies: *reports* [`Error::Broken`]. If a
    /// party dies before it comes: *may hang*, since nobody knows who will come; use
    /// [`wait_timeout`](Barrier::wait_timeout). If the server dies: *reports*
    /// [`Error::Disconnected`].
    ///
    /// # Errors
    ///
    /// [`Error::Broken`], [`Error::Disconnected`].
    pub fn wait(&self) -> Result<usize, Error> {
        self.pass(Patience::Forever, false).map(|(index, _)| index)
    }

    /// Comes to the barrier and waits for the others; the last one to come runs its `action`
    /// before anybody goes on.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Barrier::wait). If the party that runs its action dies in it: *reports*
    /// [`Error::Broken`] for all others.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    ///
    /// # Panics
    ///
    /// When the action panics; that breaks the barrier for the others.
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<usize, Error> {
        let passed = self.pass(Patience::Forever, true)?;
        self.act(passed, action)
    }

    /// Comes to the barrier and waits for the others, for `timeout` at most. If they do not come
    /// in time, the barrier is broken for all.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Barrier::wait), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait); [`Error::TimedOut`] for the party whose time was up.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, Error> {
        self.pass(Patience::of(Some(timeout)), false).map(|(index, _)| index)
    }

    /// [`wait_timeout`](Barrier::wait_timeout) and [`wait_with`](Barrier::wait_with) in one.
    ///
    /// # Blocking
    ///
    /// As [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Barrier::wait_timeout).
    ///
    /// # Panics
    ///
    /// As [`wait_with`](Barrier::wait_with).
    pub fn wait_timeout_with(
        &self,
        timeout: Duration,
        action: impl FnOnce(),
    ) -> Result<usize, Error> {
        let passed = self.pass(Patience::of(Some(timeout)), true)?;
        self.act(passed, action)
    }

    /// Breaks the barrier for all, until it is reset.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn abort(&self) -> Result<(), Error> {
        self.handle.unit(Op::Barrier(BarrierOp::Abort))
    }

    /// Makes the barrier as it was at the beginning. Those who wait just then find it broken.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn reset(&self) -> Result<(), Error> {
        self.handle.unit(Op::Barrier(BarrierOp::Reset))
    }

    /// How many must come.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn parties(&self) -> Result<usize, Error> {
        self.state(|parties, _, _| parties as usize)
    }

    /// How many have come and wait. Python: `b.n_waiting`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> Result<usize, Error> {
        self.state(|_, waiting, _| waiting as usize)
    }

    /// Whether it is broken. Python: `b.broken`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn is_broken(&self) -> Result<bool, Error> {
        self.state(|_, _, broken| broken)
    }

    fn pass(&self, wait: Patience, acts: bool) -> Result<(usize, bool), Error> {
        match self.handle.call(Op::Barrier(BarrierOp::Wait { wait, acts }))? {
            Reply::Passed { index, acts } => Ok((index as usize, acts)),
            _ => Err(Error::unexpected()),
        }
    }

    fn act(&self, (index, acts): (usize, bool), action: impl FnOnce()) -> Result<usize, Error> {
        /// Tells the others how it ended, also if the action panics.
        struct Acting<'a>(&'a Handle, bool);
        impl Drop for Acting<'_> {
            fn drop(&mut self) {
                if !self.1 {
                    let _ = self.0.unit(Op::Barrier(BarrierOp::Acted(false)));
                }
            }
        }
        if acts {
            let mut acting = Acting(&self.handle, false);
            action();
            acting.1 = true;
            match self.handle.unit(Op::Barrier(BarrierOp::Acted(true))) {
                // It was aborted or reset while the action ran.
                Err(Error::NotOwner) => return Err(Error::Broken),
                told => told?,
            }
        }
        Ok(index)
    }

    fn state<R>(&self, look: impl FnOnce(u64, u64, bool) -> R) -> Result<R, Error> {
        match self.handle.call(Op::Barrier(BarrierOp::State))? {
            Reply::Barrier { parties, waiting, broken } => Ok(look(parties, waiting, broken)),
            _ => Err(Error::unexpected()),
        }
    }
}
