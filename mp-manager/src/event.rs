//! `Event`: a flag to wait for.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::handle::Handle;
use crate::op::{EventOp, Op};
use crate::protocol::Patience;
use crate::proxy::proxy;

/// A flag that lives in a manager's server.
///
/// Python: `SyncManager.Event()`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_manager::{Error, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let go = manager.event()?;
/// assert!(matches!(go.wait_timeout(Duration::from_millis(1)), Err(Error::TimedOut)));
/// go.set()?;
/// go.wait()?;
/// # Ok(())
/// # }
/// ```
pub struct Event {
    pub(crate) handle: Arc<Handle>,
}

proxy!(Event, Event);

impl Event {
    /// Whether the flag is set.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn is_set(&self) -> Result<bool, Error> {
        self.handle.flag(Op::Event(EventOp::IsSet))
    }

    /// Sets the flag, and wakes all who wait.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn set(&self) -> Result<(), Error> {
        self.handle.unit(Op::Event(EventOp::Set))
    }

    /// Takes the flag back.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn clear(&self) -> Result<(), Error> {
        self.handle.unit(Op::Event(EventOp::Clear))
    }

    /// Waits for the flag. A flag that is set and cleared at once wakes all who waited.
    ///
    /// # Blocking
    ///
    /// Waits for somebody's [`set`](Event::set). If the one that should set it dies: *may hang*,
    /// for nobody knows who will; use [`wait_timeout`](Event::wait_timeout). If the server dies:
    /// *reports* [`Error::Disconnected`].
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn wait(&self) -> Result<(), Error> {
        self.handle.unit(Op::Event(EventOp::Wait(Patience::Forever)))
    }

    /// Waits for the flag no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Event::wait), until the time is up.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Disconnected`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.handle.unit(Op::Event(EventOp::Wait(Patience::of(Some(timeout)))))
    }
}
