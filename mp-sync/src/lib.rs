#![doc = include_str!("../README.md")]
#![cfg_attr(
    loom,
    allow(dead_code, unused_imports, reason = "under loom only the algorithms are built")
)]

mod error;
mod owner;
mod raw;
mod sys;

#[cfg(all(test, loom))]
mod models;

#[cfg(not(loom))]
mod barrier;
#[cfg(not(loom))]
mod bounded_semaphore;
#[cfg(not(loom))]
mod condvar;
#[cfg(not(loom))]
mod event;
#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
mod lock_api_mutex;
#[cfg(not(loom))]
mod locked;
#[cfg(not(loom))]
mod mutex;
#[cfg(not(loom))]
mod parts;
#[cfg(not(loom))]
mod reentrant_mutex;
#[cfg(not(loom))]
mod rwlock;
#[cfg(not(loom))]
mod semaphore;
#[cfg(not(loom))]
mod shareable;

pub use error::{Error, LockError};
pub use mp_sys::{Deadline, Errno};
pub use raw::{Acquired, LockState, RawMutex};

#[cfg(not(loom))]
pub use {
    barrier::Barrier,
    bounded_semaphore::BoundedSemaphore,
    condvar::{Condvar, WaitGuard, Waited},
    event::Event,
    lock_api_mutex::LockApiMutex,
    locked::{Locked, LockedGuard},
    mutex::{Mutex, MutexGuard},
    parts::{PartGuard, PartReadGuard, Parts},
    reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard},
    rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    semaphore::{Permit, Semaphore},
    shareable::Shareable,
};
