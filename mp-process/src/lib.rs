#![doc = include_str!("../README.md")]

mod at_fork;
mod child;
mod children;
mod cpu;
mod despite;
mod error;
mod family;
mod forkserver;
mod function;
mod handle;
mod identity;
mod init;
mod logging;
mod order;
mod panic;
mod place;
mod post;
mod process;
mod server;
mod start;
mod status;
#[cfg(any(test, fuzzing))]
mod strangers;
mod watch;

pub use at_fork::at_fork;
pub use cpu::cpu_count;
pub use error::{Error, FunctionError, TaskError};
pub use family::authkey;
pub use forkserver::preload;
pub use function::{FnId, Function, Task};
pub use handle::{Child, NoValue, active_children};
pub use identity::{Current, Parent, current, parent};
#[doc(hidden)]
pub use init::before_main;
pub use init::init;
pub use logging::log_to_stderr;
pub use mp_ipc::{Errno, Fd, Message};
pub use order::{Limit, Stdio};
pub use panic::{PanicInfo, catch_panic, catch_panic_quietly};
pub use process::{Process, StartMethod};
pub use status::ExitStatus;
#[cfg(any(test, fuzzing))]
pub use strangers::feed;
