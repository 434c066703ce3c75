//! What mp-ipc promises within one process.

mod queue;
