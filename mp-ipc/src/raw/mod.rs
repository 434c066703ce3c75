//! The queue's algorithm: a byte ring in shared memory, two robust locks, single-store commits.
//!
//! What lies here knows nothing of types, encodings or handles. `docs/layout.md` draws the bytes.
//!
//! # The protocol
//!
//! Whoever puts holds the put lock, whoever gets the get lock; so each side has one writer at a
//! time. A record is written behind the tail, and one store of the tail word, which carries both
//! the position and the item count, makes it exist. A record is copied out, and one store of the
//! head word makes its room free. Whoever dies before its store has done nothing, whoever dies
//! after it has done all; the next holder of the lock has nothing to repair.
//!
//! After the store a side rings the other side's [`Bell`](bell::Bell). A process that is killed
//! between the two leaves a sleeper unwoken: sleepers look again after [`TICK`](wait::TICK).

pub(crate) mod bell;
pub(crate) mod cursor;
pub(crate) mod fast;
pub(crate) mod getting;
pub(crate) mod header;
pub(crate) mod lease;
pub(crate) mod owner;
pub(crate) mod packets;
pub(crate) mod putting;
pub(crate) mod ring;
pub(crate) mod short;
pub(crate) mod spill;
pub(crate) mod turn;
pub(crate) mod wait;
