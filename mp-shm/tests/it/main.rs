//! The public behaviour of mp-shm.

mod array;
mod frozen;
mod hostile;
mod region;
mod shareable_list;
mod shared_memory;
mod travel;
mod value;
