//! What mp-ipc promises within one process.

mod broken_ring;
mod connection;
mod decode;
mod examples;
mod frame;
mod handles;
mod listener;
mod queue;
mod scribble;
mod wait;
mod wrong_descriptors;
