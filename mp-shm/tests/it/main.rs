//! The public behaviour of mp-shm.

mod array;
mod region;
mod travel;
mod value;
