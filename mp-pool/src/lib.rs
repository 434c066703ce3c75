#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod assemble;
mod async_result;
#[cfg(feature = "indicatif")]
mod bar;
mod batch;
mod bell;
mod builder;
mod call;
mod callbacks;
mod close;
mod codec;
mod collector;
mod completed;
mod core;
mod error;
mod flow;
mod function;
mod hand;
mod imap;
mod inner;
mod job;
pub mod lane;
mod ledger;
mod linger;
mod local;
#[cfg(all(test, loom))]
mod models;
mod pool;
mod pool_end;
mod settings;
mod shared;
mod sides;
mod stats;
mod sys;
mod tend;
mod with;
mod work;
mod worker;
mod worker_end;

pub use async_result::AsyncResult;
pub use builder::Builder;
pub use completed::{AsCompleted, Wait, as_completed, wait_for};
pub use error::{Error, TaskError};
pub use function::Initialised;
pub use imap::Imap;
pub use local::{keep, should_stop, with_kept, worker_index};
pub use mp_process::{ExitStatus, PanicInfo, StartMethod};
pub use pool::Pool;
pub use shared::Shared;
pub use stats::{Progress, Slow, Stats, WorkerStats};
pub use with::With;
