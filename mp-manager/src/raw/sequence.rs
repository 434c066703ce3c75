//! A sequence of encoded values.

use std::collections::VecDeque;

use super::stored::StoredValue;
use super::{Outbox, Outcome, reply, within};
use crate::op::SequenceOp;
use crate::protocol::{Blob, Failure, Reply};

/// List and Array.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    items: VecDeque<Item>,
    /// Counts all changes: the version of the whole.
    clock: u64,
    /// An array: its length never changes.
    fixed: bool,
}

#[derive(Debug)]
struct Item {
    version: u64,
    value: StoredValue,
}

impl Sequence {
    pub(crate) fn new(values: Vec<Blob>, fixed: bool, out: &mut Outbox) -> Sequence {
        let mut sequence = Sequence { fixed, ..Sequence::default() };
        for value in values {
            let item = sequence.item(value, out);
            sequence.items.push_back(item);
        }
        sequence
    }

    pub(crate) fn apply(&mut self, op: SequenceOp, out: &mut Outbox) -> Outcome {
        let len = self.items.len();
        if self.fixed && op.resizes() {
            return Err(Failure::protocol("an array does not change its length"));
        }
        reply(match op {
            SequenceOp::Len => Reply::Count(len as u64),
            SequenceOp::Get(index) => {
                let item = within(index, len).ok().map(|at| &self.items[at]);
                Reply::Value(item.map(|item| item.value.to_blob()))
            }
            SequenceOp::Set(index, value) => {
                self.replace(within(index, len)?, value, out);
                Reply::Unit
            }
            SequenceOp::Replace(index, value) => {
                Reply::Value(Some(self.replace(within(index, len)?, value, out)))
            }
            SequenceOp::Swap(a, b) => {
                let (a, b) = (within(a, len)?, within(b, len)?);
                self.items.swap(a, b);
                for at in [a, b] {
                    self.items[at].version = self.tick();
                }
                Reply::Unit
            }
            SequenceOp::Push(value) => {
                let item = self.item(value, out);
                self.items.push_back(item);
                Reply::Unit
            }
            SequenceOp::Extend(values) => {
                for value in values {
                    let item = self.item(value, out);
                    self.items.push_back(item);
                }
                Reply::Unit
            }
            SequenceOp::Insert(index, value) => {
                let at = within(index, len + 1)?;
                let item = self.item(value, out);
                self.items.insert(at, item);
                Reply::Unit
            }
            SequenceOp::Pop => {
                let item = self.items.pop_back();
                Reply::Value(item.map(|item| self.gone(item, out)))
            }
            SequenceOp::Remove(index) => {
                let item = self.items.remove(within(index, len)?);
                Reply::Value(item.map(|item| self.gone(item, out)))
            }
            SequenceOp::Range { start, end } => {
                let (start, end) = range(start, end, len)?;
                Reply::Values(
                    self.items.range(start..end).map(|item| item.value.to_blob()).collect(),
                )
            }
            SequenceOp::Splice { start, end, values } => {
                let (start, end) = range(start, end, len)?;
                let tail = self.items.split_off(end);
                let removed = self.items.split_off(start);
                for value in values {
                    let item = self.item(value, out);
                    self.items.push_back(item);
                }
                self.items.extend(tail);
                Reply::Values(removed.into_iter().map(|item| self.gone(item, out)).collect())
            }
            SequenceOp::Write { start, values } => {
                let (start, _) = range(start, start.saturating_add(values.len() as u64), len)?;
                for (at, value) in values.into_iter().enumerate() {
                    self.replace(start + at, value, out);
                }
                Reply::Unit
            }
            SequenceOp::Clear => {
                self.clear(out);
                Reply::Unit
            }
            SequenceOp::Reverse => {
                self.items.make_contiguous().reverse();
                self.restamp();
                Reply::Unit
            }
            SequenceOp::Versioned(index) => self.versioned(within(index, len)?),
            SequenceOp::Exchange { index, version, value } => {
                let at = within(index, len)?;
                if self.items[at].version != version {
                    return reply(self.versioned(at));
                }
                self.replace(at, value, out);
                Reply::Unit
            }
            SequenceOp::Snapshot => Reply::Snapshot {
                version: self.clock,
                values: self.items.iter().map(|item| item.value.to_blob()).collect(),
            },
            SequenceOp::Arrange { version, .. } if version != self.clock => Reply::Flag(false),
            SequenceOp::Arrange { order, .. } => {
                self.arrange(&order, out)?;
                Reply::Flag(true)
            }
        })
    }

    /// Forgets everything, and frees what the values refer to.
    pub(crate) fn clear(&mut self, out: &mut Outbox) {
        for item in std::mem::take(&mut self.items) {
            self.gone(item, out);
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn item(&mut self, value: Blob, out: &mut Outbox) -> Item {
        out.keep(&value.refs);
        Item { version: self.tick(), value: value.into() }
    }

    fn gone(&mut self, item: Item, out: &mut Outbox) -> Blob {
        self.tick();
        out.free(item.value.refs());
        item.value.into()
    }

    fn replace(&mut self, at: usize, value: Blob, out: &mut Outbox) -> Blob {
        let item = self.item(value, out);
        let before = std::mem::replace(&mut self.items[at], item);
        self.gone(before, out)
    }

    fn versioned(&self, at: usize) -> Reply {
        let Item { version, value } = &self.items[at];
        Reply::Versioned { version: *version, value: Some(value.to_blob()) }
    }

    /// What lay at an index lies elsewhere: no version read before is good any more.
    fn restamp(&mut self) {
        for at in 0..self.items.len() {
            self.items[at].version = self.tick();
        }
        self.tick();
    }

    fn arrange(&mut self, order: &[u64], out: &mut Outbox) -> Result<(), Failure> {
        let mut taken = vec![false; self.items.len()];
        for &index in order {
            if std::mem::replace(&mut taken[within(index, self.items.len())?], true) {
                return Err(Failure::protocol("an index comes twice"));
            }
        }
        if self.fixed && order.len() != self.items.len() {
            return Err(Failure::protocol("an array does not change its length"));
        }
        let mut old: Vec<Option<Item>> =
            std::mem::take(&mut self.items).into_iter().map(Some).collect();
        self.items = order.iter().filter_map(|&index| old[index as usize].take()).collect();
        for item in old.into_iter().flatten() {
            self.gone(item, out);
        }
        self.restamp();
        Ok(())
    }
}

impl SequenceOp {
    fn resizes(&self) -> bool {
        match self {
            SequenceOp::Splice { start, end, values } => {
                end.checked_sub(*start) != Some(values.len() as u64)
            }
            SequenceOp::Push(_)
            | SequenceOp::Extend(_)
            | SequenceOp::Insert(..)
            | SequenceOp::Pop
            | SequenceOp::Remove(_)
            | SequenceOp::Clear => true,
            _ => false,
        }
    }
}

/// A range from the wire; `u64::MAX` as its end is the end of the sequence.
fn range(start: u64, end: u64, len: usize) -> Result<(usize, usize), Failure> {
    let end = if end == u64::MAX { len as u64 } else { end };
    if end > len as u64 {
        return Err(Failure::OutOfRange { index: end, len: len as u64 });
    }
    if start > end {
        return Err(Failure::OutOfRange { index: start, len: len as u64 });
    }
    Ok((start as usize, end as usize))
}
