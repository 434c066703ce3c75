#![doc = include_str!("../README.md")]

mod arena;
mod copy;
mod error;
mod header;
mod kind;
mod place;
mod placed;
mod region;
mod window;

pub use error::Error;
pub use kind::{Kind, type_hash};
pub use mp_sys::Errno;
pub use place::{Place, Words};
pub use placed::Placed;
pub use region::Region;
pub use window::Window;
