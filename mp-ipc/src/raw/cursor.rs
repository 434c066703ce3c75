//! A place in the ring, and how many items lie before it: what one store commits.

/// A place in the stream of records.
///
/// ```text
///  63 .. 32                     31 .. 0
///  items before this place      units (8 bytes) before this place
/// ```
///
/// Both counters wrap. Only differences have a meaning, and those within the ring are small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) items: u32,
    pub(crate) units: u32,
}

impl Cursor {
    #[inline]
    pub(crate) fn of(word: u64) -> Cursor {
        Cursor { items: (word >> 32) as u32, units: word as u32 }
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        u64::from(self.items) << 32 | u64::from(self.units)
    }

    /// The place behind one more record, of `units` units.
    #[inline]
    pub(crate) fn past(self, units: u32) -> Cursor {
        Cursor { items: self.items.wrapping_add(1), units: self.units.wrapping_add(units) }
    }

    /// How many items lie between `earlier` and this place.
    #[inline]
    pub(crate) fn items_since(self, earlier: Cursor) -> u32 {
        self.items.wrapping_sub(earlier.items)
    }

    /// How many units lie between `earlier` and this place.
    #[inline]
    pub(crate) fn units_since(self, earlier: Cursor) -> u32 {
        self.units.wrapping_sub(earlier.units)
    }

    /// Whether this place lies in the stretch from `from` on and before `to`.
    #[inline]
    pub(crate) fn is_within(self, from: Cursor, to: Cursor) -> bool {
        self.units_since(from) < to.units_since(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counters_wrap() {
        let last = Cursor { items: u32::MAX, units: u32::MAX };
        let next = last.past(3);
        assert_eq!(next, Cursor { items: 0, units: 2 });
        assert_eq!((next.items_since(last), next.units_since(last)), (1, 3));
        assert_eq!(Cursor::of(last.word()), last);
        assert!(last.is_within(last, next) && !next.is_within(last, next));
    }
}
