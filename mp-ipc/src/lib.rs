#![doc = include_str!("../README.md")]

pub mod fd;

mod address;
mod auth;
mod connect;
mod connection;
mod error;
mod frame;
mod half;
mod listener;
mod message;
mod socket_file;
mod turn;
mod wait;
mod wire;

pub use address::Address;
pub use auth::Key;
pub use connect::{connect, connect_timeout, connect_wire};
pub use connection::{Connection, pipe};
pub use error::Error;
pub use fd::Fd;
pub use half::{Receiver, Sender, simplex};
pub use listener::Listener;
pub use message::{Message, decode, encode};
pub use mp_sys::{Deadline, Errno, fd_table};
pub use wait::wait;
pub use wire::Wire;
