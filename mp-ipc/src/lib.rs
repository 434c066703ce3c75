#![doc = include_str!("../README.md")]

pub mod fd;

mod byte_queue;
mod connection;
mod error;
mod frame;
mod half;
mod joinable_queue;
mod lease;
mod message;
mod queue;
mod raw;
mod simple_queue;
mod sys;
mod turn;
mod wait;
mod wire;

pub use byte_queue::ByteQueue;
pub use connection::{Connection, pipe};
pub use error::Error;
pub use fd::Fd;
pub use half::{Receiver, Sender, simplex};
pub use joinable_queue::JoinableQueue;
pub use lease::Lease;
pub use message::{Message, decode, encode};
pub use mp_sys::{Deadline, Errno, fd_table};
pub use queue::{Drain, Iter, PutError, Queue};
pub use simple_queue::SimpleQueue;
pub use wait::wait;
pub use wire::Wire;
