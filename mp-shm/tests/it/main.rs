//! The public behaviour of mp-shm.

mod region;
