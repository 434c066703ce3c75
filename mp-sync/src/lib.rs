#![doc = include_str!("../README.md")]

mod error;
mod owner;
mod raw;
mod sys;

#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
mod mutex;
#[cfg(not(loom))]
mod shareable;

pub use error::{Error, LockError};
pub use mp_sys::{Deadline, Errno};
pub use raw::{Acquired, RawMutex};

#[cfg(not(loom))]
pub use mutex::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub use shareable::Shareable;
