//! A table of encoded keys and values, in the order of insertion.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::{Outbox, Outcome, reply};
use crate::op::TableOp;
use crate::protocol::{Blob, Key, Reply};

/// Dict, Set, Namespace and Value.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: HashMap<Arc<[u8]>, Slot>,
    /// The keys by the time of their insertion.
    order: BTreeMap<u64, Arc<[u8]>>,
    /// Counts insertions and stores: no version is ever given twice, so 0 can mean "nothing".
    clock: u64,
}

#[derive(Debug)]
struct Slot {
    place: u64,
    version: u64,
    value: Blob,
}

impl Table {
    pub(crate) fn new(pairs: Vec<(Key, Blob)>, out: &mut Outbox) -> Table {
        let mut table = Table::default();
        for (key, value) in pairs {
            table.store(&key, value, out);
        }
        table
    }

    pub(crate) fn apply(&mut self, op: TableOp, out: &mut Outbox) -> Outcome {
        reply(match op {
            TableOp::Len => Reply::Count(self.slots.len() as u64),
            TableOp::Contains(key) => Reply::Flag(self.slots.contains_key(key.as_slice())),
            TableOp::Get(key) => Reply::Value(self.get(&key)),
            TableOp::GetMany(keys) => {
                Reply::MaybeValues(keys.iter().map(|key| self.get(key)).collect())
            }
            TableOp::Insert(key, value) => Reply::Value(self.store(&key, value, out)),
            TableOp::Set(key, value) => Reply::Flag(self.store(&key, value, out).is_some()),
            TableOp::GetOrInsert(key, value) => match self.get(&key) {
                Some(there) => Reply::Value(Some(there)),
                None => {
                    self.store(&key, value.clone(), out);
                    Reply::Value(Some(value))
                }
            },
            TableOp::Remove(key) => Reply::Value(self.remove(&key, out)),
            TableOp::RemoveMany(keys) => Reply::Count(
                keys.iter().filter(|key| self.remove(key, out).is_some()).count() as u64,
            ),
            TableOp::Pop => {
                let last = self.order.last_key_value().map(|(_, key)| key.clone());
                Reply::Pair(last.and_then(|key| {
                    self.remove(&key, out).map(|value| (ByteBuf::from(key.to_vec()), value))
                }))
            }
            TableOp::Extend(pairs) => {
                let before = self.slots.len();
                for (key, value) in pairs {
                    self.store(&key, value, out);
                }
                Reply::Count((self.slots.len() - before) as u64)
            }
            TableOp::Clear => {
                self.clear(out);
                Reply::Unit
            }
            TableOp::Keys => {
                Reply::Keys(self.order.values().map(|key| ByteBuf::from(key.to_vec())).collect())
            }
            TableOp::Values => {
                Reply::Values(self.iter().map(|(_, slot)| slot.value.clone()).collect())
            }
            TableOp::Pairs => Reply::Pairs(
                self.iter()
                    .map(|(key, slot)| (ByteBuf::from(key.to_vec()), slot.value.clone()))
                    .collect(),
            ),
            TableOp::Versioned(key) => self.versioned(&key),
            TableOp::Exchange { key, version, value } => {
                let found = self.slots.get(key.as_slice()).map_or(0, |slot| slot.version);
                if found != version {
                    return reply(self.versioned(&key));
                }
                match value {
                    Some(value) => self.store(&key, value, out),
                    None => self.remove(&key, out),
                };
                Reply::Unit
            }
        })
    }

    /// Forgets everything, and frees what the values refer to.
    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        self.order.clear();
        for slot in std::mem::take(&mut self.slots).into_values() {
            out.free(&slot.value);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Slot)> {
        self.order.values().filter_map(|key| self.slots.get_key_value(key))
    }

    fn get(&self, key: &[u8]) -> Option<Blob> {
        self.slots.get(key).map(|slot| slot.value.clone())
    }

    fn versioned(&self, key: &[u8]) -> Reply {
        match self.slots.get(key) {
            Some(slot) => {
                Reply::Versioned { version: slot.version, value: Some(slot.value.clone()) }
            }
            None => Reply::Versioned { version: 0, value: None },
        }
    }

    fn store(&mut self, key: &[u8], value: Blob, out: &mut Outbox) -> Option<Blob> {
        out.keep(&value);
        self.clock += 1;
        let version = self.clock;
        if let Some(slot) = self.slots.get_mut(key) {
            slot.version = version;
            let before = std::mem::replace(&mut slot.value, value);
            out.free(&before);
            return Some(before);
        }
        let key: Arc<[u8]> = key.into();
        self.order.insert(version, key.clone());
        self.slots.insert(key, Slot { place: version, version, value });
        None
    }

    fn remove(&mut self, key: &[u8], out: &mut Outbox) -> Option<Blob> {
        let slot = self.slots.remove(key)?;
        self.order.remove(&slot.place);
        out.free(&slot.value);
        Some(slot.value)
    }
}
