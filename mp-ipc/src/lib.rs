#![doc = include_str!("../README.md")]

pub mod fd;

mod address;
mod auth;
mod batch;
mod budget;
mod byte_get;
mod byte_put;
mod byte_queue;
mod bytes;
mod connect;
mod connection;
mod error;
mod explain;
mod frame;
mod iter;
mod joinable_queue;
mod lease;
mod listener;
mod message;
#[cfg(all(test, loom))]
mod models;
mod pipe;
mod put_error;
mod queue;
mod raw;
mod receiver;
#[cfg(all(test, loom))]
mod ring_models;
mod sender;
mod simple_queue;
mod socket_file;
mod sys;
mod turn;
mod wait;
mod wire;
mod wire_recv;

pub use address::Address;
pub use auth::Key;
pub use byte_queue::ByteQueue;
pub use connect::{connect, connect_timeout, connect_wire};
pub use connection::Connection;
pub use error::Error;
pub use fd::Fd;
pub use iter::{Drain, Iter};
pub use joinable_queue::JoinableQueue;
pub use lease::Lease;
pub use listener::Listener;
pub use message::{Message, decode, decode_bytes, encode};
pub use mp_sys::{Deadline, Errno, fd_table};
pub use pipe::{pipe, simplex};
pub use put_error::PutError;
pub use queue::Queue;
pub use receiver::Receiver;
pub use sender::Sender;
pub use simple_queue::SimpleQueue;
pub use wait::wait;
pub use wire::Wire;
