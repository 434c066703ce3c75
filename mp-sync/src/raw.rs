//! The algorithms: they work on words in place and know nothing of guards, handles or data.

mod mutex;

pub use mutex::{Acquired, RawMutex};
