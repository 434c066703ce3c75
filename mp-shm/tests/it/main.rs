//! The public behaviour of mp-shm.

mod array;
mod frozen;
mod region;
mod travel;
mod value;
