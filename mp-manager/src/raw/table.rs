//! A table of encoded keys and values, in the order of insertion.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_bytes::ByteBuf;

use super::stored::{StoredKey, StoredValue};
use super::{Outbox, Outcome, reply};
use crate::op::TableOp;
use crate::protocol::{Blob, Key, Reply};

/// Dict, Set, Namespace and Value.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// In the order of insertion. What was removed leaves a hole, until half of all are holes.
    slots: Vec<Option<Slot>>,
    places: HashMap<StoredKey, usize>,
    /// Counts changes: no version is ever given twice, so 0 can mean "nothing".
    clock: u64,
}

#[derive(Debug)]
struct Slot {
    key: StoredKey,
    version: u64,
    value: StoredValue,
}

impl Table {
    pub(crate) fn new(pairs: Vec<(Key, Blob)>, out: &mut Outbox) -> Table {
        let mut table = Table::default();
        for (key, value) in pairs {
            table.store(&key, value.into(), out);
        }
        table
    }

    pub(crate) fn apply(&mut self, op: TableOp, out: &mut Outbox) -> Outcome {
        reply(match op {
            TableOp::Len => Reply::Count(self.places.len() as u64),
            TableOp::Contains(key) => Reply::Flag(self.places.contains_key(key.as_slice())),
            TableOp::Get(key) => Reply::Value(self.get(&key)),
            TableOp::GetMany(keys) => {
                Reply::MaybeValues(keys.iter().map(|key| self.get(key)).collect())
            }
            TableOp::Insert(key, value) => {
                Reply::Value(self.store(&key, value.into(), out).map(Blob::from))
            }
            TableOp::Set(key, value) => Reply::Flag(self.store(&key, value.into(), out).is_some()),
            TableOp::GetOrInsert(key, value) => match self.get(&key) {
                Some(there) => Reply::Value(Some(there)),
                None => {
                    self.store(&key, value.clone().into(), out);
                    Reply::Value(Some(value))
                }
            },
            TableOp::Remove(key) => Reply::Value(self.remove(&key, out).map(Blob::from)),
            TableOp::RemoveMany(keys) => Reply::Count(
                keys.iter().filter(|key| self.remove(key, out).is_some()).count() as u64,
            ),
            TableOp::Pop => {
                let last = self.iter().next_back().map(|slot| ByteBuf::from(slot.key.as_slice()));
                Reply::Pair(
                    last.and_then(|key| self.remove(&key, out).map(|value| (key, value.into()))),
                )
            }
            TableOp::Extend(pairs) => {
                let before = self.places.len();
                for (key, value) in pairs {
                    self.store(&key, value.into(), out);
                }
                Reply::Count((self.places.len() - before) as u64)
            }
            TableOp::Fill(pairs) => {
                let before = self.places.len();
                self.places.reserve(pairs.count());
                self.slots.reserve(pairs.count());
                for (key, bytes) in pairs.iter()? {
                    self.store(key, bytes.into(), out);
                }
                Reply::Count((self.places.len() - before) as u64)
            }
            TableOp::Clear => {
                self.clear(out);
                Reply::Unit
            }
            TableOp::Keys => {
                Reply::Keys(self.iter().map(|slot| ByteBuf::from(slot.key.as_slice())).collect())
            }
            TableOp::Values => {
                Reply::Values(self.iter().map(|slot| slot.value.to_blob()).collect())
            }
            TableOp::Pairs => Reply::Pairs(self.pairs()),
            TableOp::Drain => {
                let pairs = self.pairs();
                self.clear(out);
                Reply::Pairs(pairs)
            }
            TableOp::Snapshot => Reply::Table { version: self.clock, pairs: self.pairs() },
            TableOp::Prune { version, .. } if version != self.clock => Reply::Flag(false),
            TableOp::Prune { keys, .. } => {
                for key in keys {
                    self.remove(&key, out);
                }
                Reply::Flag(true)
            }
            TableOp::Versioned(key) => self.versioned(&key),
            TableOp::Exchange { key, version, value } => {
                let found = self.slot(&key).map_or(0, |slot| slot.version);
                if found != version {
                    return reply(self.versioned(&key));
                }
                match value {
                    Some(value) => self.store(&key, value.into(), out),
                    None => self.remove(&key, out),
                };
                Reply::Unit
            }
        })
    }

    /// Forgets everything, and frees what the values refer to.
    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        self.places.clear();
        self.clock += 1;
        for slot in std::mem::take(&mut self.slots).into_iter().flatten() {
            out.free(slot.value.refs());
        }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Slot> {
        self.slots.iter().flatten()
    }

    fn pairs(&self) -> Vec<(Key, Blob)> {
        let pair = |slot: &Slot| (ByteBuf::from(slot.key.as_slice()), slot.value.to_blob());
        self.iter().map(pair).collect()
    }

    fn slot(&self, key: &[u8]) -> Option<&Slot> {
        self.places.get(key).and_then(|&place| self.slots.get(place)?.as_ref())
    }

    fn get(&self, key: &[u8]) -> Option<Blob> {
        self.slot(key).map(|slot| slot.value.to_blob())
    }

    fn versioned(&self, key: &[u8]) -> Reply {
        match self.slot(key) {
            Some(slot) => {
                Reply::Versioned { version: slot.version, value: Some(slot.value.to_blob()) }
            }
            None => Reply::Versioned { version: 0, value: None },
        }
    }

    fn store(&mut self, key: &[u8], value: StoredValue, out: &mut Outbox) -> Option<StoredValue> {
        out.keep(value.refs());
        self.clock += 1;
        let version = self.clock;
        match self.places.entry(key.into()) {
            Entry::Occupied(place) => {
                let slot = self.slots.get_mut(*place.get())?.as_mut()?;
                slot.version = version;
                let before = std::mem::replace(&mut slot.value, value);
                out.free(before.refs());
                Some(before)
            }
            Entry::Vacant(place) => {
                self.slots.push(Some(Slot { key: place.key().clone(), version, value }));
                place.insert(self.slots.len() - 1);
                None
            }
        }
    }

    fn remove(&mut self, key: &[u8], out: &mut Outbox) -> Option<StoredValue> {
        let place = self.places.remove(key)?;
        self.clock += 1;
        let slot = self.slots.get_mut(place)?.take()?;
        out.free(slot.value.refs());
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        if self.slots.len() > 32 && self.slots.len() > 2 * self.places.len() {
            self.close_up();
        }
        Some(slot.value)
    }

    /// Takes the holes out.
    fn close_up(&mut self) {
        self.slots.retain(Option::is_some);
        for (place, slot) in self.slots.iter().flatten().enumerate() {
            if let Some(there) = self.places.get_mut(slot.key.as_slice()) {
                *there = place;
            }
        }
    }
}
