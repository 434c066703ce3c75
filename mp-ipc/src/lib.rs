#![doc = include_str!("../README.md")]

pub mod fd;

mod connection;
mod error;
mod frame;
mod half;
mod message;
mod turn;
mod wait;
mod wire;

pub use connection::{Connection, pipe};
pub use error::Error;
pub use fd::Fd;
pub use half::{Receiver, Sender, simplex};
pub use message::{Message, decode, encode};
pub use mp_sys::{Deadline, Errno, fd_table};
pub use wait::wait;
pub use wire::Wire;
