#![doc = include_str!("../README.md")]

mod arena;
mod array;
mod atomic;
mod claim;
mod copy;
mod element;
mod error;
mod frozen;
mod header;
mod item;
mod kind;
mod named;
mod place;
mod placed;
mod region;
mod shareable_list;
mod shared_memory;
mod value;
mod window;

pub use array::Array;
pub use atomic::Atomic;
pub use bytemuck;
pub use element::{Bits, Element, Number};
pub use error::Error;
pub use frozen::{Frozen, FrozenBuilder};
pub use item::Item;
pub use kind::{Kind, type_hash};
pub use mp_sys::Errno;
pub use place::{Place, Words};
pub use placed::Placed;
pub use region::Region;
pub use shareable_list::ShareableList;
pub use shared_memory::SharedMemory;
pub use value::Value;
pub use window::Window;
