//! The public behaviour of mp-sync, within one process.

mod mutex;
