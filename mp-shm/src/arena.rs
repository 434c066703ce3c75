//! Where small objects get their room: a region that is filled once, from the front.
//!
//! Room is taken by one compare-and-swap in the region's own header, so a killed process loses
//! at most what it had taken, and a forked child, which inherits the arena, never takes the same
//! room as its parent. Nothing is given back: the kernel counts the holders of the region.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Kind, Place, Placed, Region};

/// The size of an arena.
const SIZE: usize = 64 * 1024;

/// What is larger gets a region of its own.
pub(crate) const LARGEST: usize = SIZE / 4;

/// A cache line: what lies in different ones is changed without disturbing each other.
pub(crate) const LINE: usize = 64;

/// The arena that this process is filling.
static FILLING: Mutex<Option<Region>> = Mutex::new(None);

pub(crate) fn place<T: Place>() -> Result<Placed<T>, Error> {
    let (region, offset) = take(size_of::<T>(), align_of::<T>())?;
    region.placed(offset)
}

/// Takes `size` bytes, all zero and nobody else's, and says where they are.
pub(crate) fn take(size: usize, align: usize) -> Result<(Region, usize), Error> {
    let size = size.max(1);
    if size > LARGEST {
        let own = Region::create(Kind::ARENA, size, 0)?;
        own.header().used.store(size as u64, Ordering::Relaxed);
        return Ok((own, 0));
    }
    // The lock's holder only swaps one handle for another, so a panic leaves nothing half done.
    let mut filling = FILLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(arena) = filling.as_ref()
        && let Some(offset) = take_from(arena, size, align)
    {
        return Ok((arena.clone(), offset));
    }
    let arena = Region::create(Kind::ARENA, SIZE, 0)?;
    let offset = take_from(&arena, size, align);
    *filling = Some(arena.clone());
    Ok((arena, offset.ok_or(Error::OutOfBounds { offset: 0, len: size, size: SIZE })?))
}

/// `None` when the arena is full.
fn take_from(arena: &Region, size: usize, align: usize) -> Option<usize> {
    let mut start = 0;
    // Relaxed: the room is all zero and nobody else's; its content is published by whoever
    // publishes the handle.
    let used = &arena.header().used;
    used.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        start = (used as usize).checked_next_multiple_of(align)?;
        let end = start.checked_add(size)?;
        (end <= arena.len()).then_some(end as u64)
    })
    .ok()?;
    Some(start)
}
