//! A list of plain values under a name.
//!
//! Behind the region's header (drawn in `docs/layout.md`): the number of slots, the claim of
//! whoever writes, the slots' capacities, the slots. A slot is one commit word and two buffers:
//!
//! ```text
//!  commit word:  63        32 31        3 2    0
//!                | sequence  | length    | tag  |      0 = Item::None, never written
//! ```
//!
//! The content is in the buffer that the lowest bit of the sequence names. A writer fills the
//! other one and then commits with a single store, so a reader never sees half of either, and a
//! writer that is killed has written or has not.
#![expect(unsafe_code, reason = "places the claim beside the slots")]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::claim::Claim;
use crate::{Error, Item, Kind, Placed, SharedMemory};

const COUNT: usize = 0;
const CLAIM: usize = 8;
const TABLE: usize = 64;
const WORD: usize = size_of::<u64>();

const TAG_BITS: u32 = 3;
const LEN_BITS: u32 = 29;
const LEN_MAX: usize = (1 << LEN_BITS) - 1;

/// How often a reader tries without the claim while writers come between.
const TRIES: usize = 16;

/// A list of a fixed number of [`Item`]s under a name, each of which several processes read and
/// replace.
///
/// What is read is exactly what was written, with trailing NULs and every character, and never
/// half of it, even if the writer is killed on the way. A slot keeps the room that it was made
/// with, rounded up to a multiple of 8 bytes; its content may change its type.
///
/// Its name, and who removes it, are as with [`SharedMemory`].
///
/// Python: `multiprocessing.shared_memory.ShareableList`
///
/// # Examples
///
/// ```
/// use mp_shm::{Error, Item, ShareableList};
///
/// let list = ShareableList::create(None, ["howdy".into(), 273.15.into(), Item::None])?;
/// let other = ShareableList::attach(list.name())?;
/// other.set(1, b"\x00\xff\x00")?;
/// assert_eq!(list.get(1)?, Item::from(b"\x00\xff\x00"));
/// assert_eq!(list.set(0, "too long by far"), Err(Error::TooLong { len: 15, room: 8 }));
/// assert_eq!(list.get(0)?, "howdy".into());
/// assert_eq!(list.get(3), Err(Error::Index { index: 3, len: 3 }));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct ShareableList {
    memory: SharedMemory,
    // INVARIANT (list): the claim lies at `CLAIM`, between the count and the table, and nothing
    // here writes there otherwise; the memory's window is not handed out.
    claim: Placed<Claim>,
    slots: Vec<Slot>,
}

/// Where a slot lies, checked once; what others write into the table later changes nothing here.
#[derive(Clone, Copy)]
struct Slot {
    commit: usize,
    room: usize,
}

impl Slot {
    fn buffer(self, sequence: u32) -> usize {
        self.commit + WORD + (sequence as usize & 1) * self.room
    }

    fn end(self) -> usize {
        self.commit + WORD + 2 * self.room
    }
}

impl ShareableList {
    /// Makes a list of `items`, under a name or a random one. Each slot has just the room that
    /// its item needs.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::create`]; [`Error::TooLong`] for an item of 512 MiB and more.
    pub fn create(
        name: Option<&str>,
        items: impl IntoIterator<Item = Item>,
    ) -> Result<ShareableList, Error> {
        ShareableList::with_room(name, items, 0)
    }

    /// As [`create`](ShareableList::create), with at least `room` bytes for each item.
    ///
    /// # Errors
    ///
    /// As [`create`](ShareableList::create).
    pub fn with_room(
        name: Option<&str>,
        items: impl IntoIterator<Item = Item>,
        room: usize,
    ) -> Result<ShareableList, Error> {
        let items: Vec<Item> = items.into_iter().collect();
        let rooms = items.iter().map(|item| round(item.encoded(<[u8]>::len).max(room)));
        let rooms = rooms.collect::<Result<Vec<usize>, Error>>()?;
        let slots = layout(&rooms).ok_or(Error::TooLong { len: usize::MAX, room: LEN_MAX })?;
        let size = slots.last().map_or(TABLE, |slot| slot.end());
        let memory = SharedMemory::create_as(name, size, Kind::LIST)?;
        // Nobody looks at the list before it is whole: the count goes last.
        for (at, room) in rooms.iter().enumerate() {
            memory.store(TABLE + at * WORD, *room as u64)?;
        }
        let list = ShareableList::over(memory, slots)?;
        for (index, item) in items.into_iter().enumerate() {
            list.set(index, item)?;
        }
        // Plus one, so that 0 is "not ready". Release: pairs with the Acquire in `attach`.
        let count = list.len() as u64 + 1;
        list.memory.word::<AtomicU64>(COUNT)?.store(count, Ordering::Release);
        Ok(list)
    }

    /// Attaches the list that another process has made under `name`.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::attach`]; [`Error::NotFound`] also while it is being filled;
    /// [`Error::Corrupt`] if its table makes no sense.
    pub fn attach(name: &str) -> Result<ShareableList, Error> {
        let memory = SharedMemory::attach_as(name, Kind::LIST)?;
        // Acquire: pairs with the Release in `with_room`.
        let count = memory.word::<AtomicU64>(COUNT)?.load(Ordering::Acquire);
        let count = count.checked_sub(1).ok_or(Error::NotFound)? as usize;
        let wrong = Error::Corrupt("a list's table");
        if count > memory.size() / WORD {
            return Err(wrong);
        }
        let rooms = (0..count).map(|at| Ok(memory.load(TABLE + at * WORD)? as usize));
        let rooms = rooms.collect::<Result<Vec<usize>, Error>>()?;
        if rooms.iter().any(|room| round(*room) != Ok(*room)) {
            return Err(wrong);
        }
        let slots = layout(&rooms).ok_or(wrong)?;
        if slots.last().map_or(TABLE, |slot| slot.end()) != memory.size() {
            return Err(wrong);
        }
        ShareableList::over(memory, slots)
    }

    fn over(memory: SharedMemory, slots: Vec<Slot>) -> Result<ShareableList, Error> {
        // SAFETY: INVARIANT (list).
        let claim = unsafe { memory.region().place(CLAIM) }?;
        Ok(ShareableList { memory, claim, slots })
    }

    /// The number of slots.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no slots.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What slot `index` holds.
    ///
    /// # Blocking
    ///
    /// Waits for a writer only if writers came between many times. It *recovers* from the
    /// writer's death, at once.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] beyond the end; [`Error::Corrupt`] if something that is no list has
    /// written there.
    pub fn get(&self, index: usize) -> Result<Item, Error> {
        let slot = self.slot(index)?;
        for _ in 0..TRIES {
            if let Some(item) = self.read(slot) {
                return item;
            }
        }
        // Nobody writes while we have the claim. `None` would take a writer without it.
        let read = self.claim.with(|| self.read(slot))?;
        read.unwrap_or(Err(Error::Corrupt("a slot's commit word")))
    }

    /// Replaces what slot `index` holds.
    ///
    /// # Blocking
    ///
    /// Waits for other processes' `set` on the same list. If a writer dies it *recovers*: its
    /// value is there whole or not at all, and this call goes on.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if it does not fit, and [`Error::Index`] beyond the end: nothing is
    /// changed then. [`Error::Os`] where the C library's robust list is not one that we know.
    pub fn set(&self, index: usize, item: impl Into<Item>) -> Result<(), Error> {
        let (slot, item) = (self.slot(index)?, item.into());
        let len = item.encoded(<[u8]>::len);
        if len > slot.room {
            return Err(Error::TooLong { len, room: slot.room });
        }
        self.claim.with(|| {
            let commit = self.memory.word::<AtomicU64>(slot.commit)?;
            // Relaxed: only the claim's holder writes it, and taking the claim was an Acquire.
            let sequence = ((commit.load(Ordering::Relaxed) >> 32) as u32).wrapping_add(1);
            // Pairs with the fence in `read`: who sees a byte of this also sees the commit that
            // made the other buffer the valid one.
            fence(Ordering::Release);
            item.encoded(|bytes| self.memory.write(slot.buffer(sequence), bytes))?;
            let new = u64::from(sequence) << 32 | (len as u64) << TAG_BITS | u64::from(item.tag());
            // Release: pairs with the Acquire in `read`.
            commit.store(new, Ordering::Release);
            Ok(())
        })?
    }

    /// `None` if a writer came between.
    fn read(&self, slot: Slot) -> Option<Result<Item, Error>> {
        let read = || {
            let commit = self.memory.word::<AtomicU64>(slot.commit)?;
            // Acquire: pairs with the Release store in `set`.
            let seen = commit.load(Ordering::Acquire);
            let (tag, len) = (seen & ((1 << TAG_BITS) - 1), (seen >> TAG_BITS) as usize & LEN_MAX);
            if len > slot.room {
                return Err(Error::Corrupt("a length"));
            }
            let mut bytes = Vec::new();
            self.memory.append(slot.buffer((seen >> 32) as u32), len, &mut bytes)?;
            // Pairs with the fence in `set`: the buffer is written again only after another commit.
            fence(Ordering::Acquire);
            if commit.load(Ordering::Relaxed) != seen {
                return Ok(None);
            }
            Item::decode(tag as u8, bytes).map(Some)
        };
        read().transpose()
    }

    fn slot(&self, index: usize) -> Result<Slot, Error> {
        let len = self.len();
        self.slots.get(index).copied().ok_or(Error::Index { index, len })
    }

    /// What the slots hold, each read when its turn comes.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Result<Item, Error>> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// What all slots hold.
    ///
    /// # Errors
    ///
    /// As [`get`](ShareableList::get).
    pub fn to_vec(&self) -> Result<Vec<Item>, Error> {
        self.iter().collect()
    }

    /// The first slot that holds `item`.
    ///
    /// Python: `ShareableList.index(value)`
    ///
    /// # Errors
    ///
    /// As [`get`](ShareableList::get).
    #[doc(alias = "index")]
    pub fn index_of(&self, item: impl Into<Item>) -> Result<Option<usize>, Error> {
        let item = item.into();
        Ok(self.to_vec()?.iter().position(|other| *other == item))
    }

    /// How many slots hold `item`.
    ///
    /// # Errors
    ///
    /// As [`get`](ShareableList::get).
    pub fn count(&self, item: impl Into<Item>) -> Result<usize, Error> {
        let item = item.into();
        Ok(self.to_vec()?.iter().filter(|other| **other == item).count())
    }

    /// The name, under which others [attach](ShareableList::attach) it.
    pub fn name(&self) -> &str {
        self.memory.name()
    }

    /// Removes the name before its time.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::unlink`].
    pub fn unlink(&self) -> Result<(), Error> {
        self.memory.unlink()
    }
}

/// The room that a slot gets for `len` bytes.
fn round(len: usize) -> Result<usize, Error> {
    let room = len.max(WORD).checked_next_multiple_of(WORD).filter(|room| *room <= LEN_MAX);
    room.ok_or(Error::TooLong { len, room: LEN_MAX })
}

/// The slots, one after the other behind the table; `None` if no memory could hold them.
fn layout(rooms: &[usize]) -> Option<Vec<Slot>> {
    let mut commit = rooms.len().checked_mul(WORD)?.checked_add(TABLE)?;
    let mut slots = Vec::with_capacity(rooms.len());
    for room in rooms {
        slots.push(Slot { commit, room: *room });
        commit = commit.checked_add(WORD)?.checked_add(room.checked_mul(2)?)?;
    }
    Some(slots)
}

impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareableList")
            .field("name", &self.name())
            .field("items", &self.iter().collect::<Vec<_>>())
            .finish()
    }
}

impl Serialize for ShareableList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ShareableList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ShareableList, D::Error> {
        let name = String::deserialize(deserializer)?;
        ShareableList::attach(&name).map_err(de::Error::custom)
    }
}
