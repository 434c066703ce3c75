//! The public behaviour of mp-sync, within one process.

mod cycles;
mod handles;
mod mutex;
mod scribble;
mod scribbled;
mod scribbled_locks;
