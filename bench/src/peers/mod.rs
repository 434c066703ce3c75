//! The peers, each used as its own documentation says.

pub mod channels;
pub mod floor;
pub mod procspawn;
pub mod python;
pub mod redis;
pub mod threads;
