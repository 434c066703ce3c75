//! Where small objects get their room: a region that is filled once, from the front.
//!
//! Room is taken by one compare-and-swap in the region's own header, so a killed process loses
//! at most what it had taken, and a forked child, which inherits the arena, never takes the same
//! room as its parent. Nothing is given back: the kernel counts the holders of the region.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Kind, Place, Placed, Region};

/// The size of an arena. What is larger than a quarter of it gets a region of its own.
const SIZE: usize = 64 * 1024;

/// The arena that this process is filling.
static FILLING: Mutex<Option<Region>> = Mutex::new(None);

pub(crate) fn place<T: Place>() -> Result<Placed<T>, Error> {
    let size = size_of::<T>().max(1);
    if size > SIZE / 4 {
        return take(&Region::create(Kind::ARENA, size, 0)?)
            .unwrap_or_else(|| Err(Error::OutOfBounds { offset: 0, len: size, size }));
    }
    // The lock's holder only swaps one handle for another, so a panic leaves nothing half done.
    let mut filling = FILLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(placed) = filling.as_ref().and_then(take) {
        return placed;
    }
    let arena = Region::create(Kind::ARENA, SIZE, 0)?;
    let placed = take(&arena);
    *filling = Some(arena);
    placed.unwrap_or(Err(Error::OutOfBounds { offset: 0, len: size, size: SIZE }))
}

/// `None` when the arena is full.
fn take<T: Place>(arena: &Region) -> Option<Result<Placed<T>, Error>> {
    let used = &arena.header().used;
    let mut start = 0;
    // Relaxed: the room is all zero and nobody else's; its content is published by whoever
    // publishes the handle.
    used.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        start = (used as usize).checked_next_multiple_of(align_of::<T>())?;
        let end = start.checked_add(size_of::<T>().max(1))?;
        (end <= arena.len()).then_some(end as u64)
    })
    .ok()?;
    Some(arena.placed(start))
}
