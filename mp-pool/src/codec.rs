//! Items in a row: how arguments and results lie in a message.
//!
//! Each item is `[length][bytes]`, so that one that cannot be decoded spoils no other. [`LONG`] is
//! followed by four bytes of length; [`FAILED`], in replies only, is followed by the length of an
//! encoded [`Failure`](crate::job::Failure). Numbers lie together as they lie in memory, behind
//! one [`Block`]: many small items are most often numbers, and copying them is nearly all that is
//! to be done.

use std::any::{Any, TypeId};

use serde::Serialize;
use serde::de::DeserializeOwned;

use mp_sys::memory::prefer_huge_pages;
use postcard::ser_flavors::Flavor;

/// A block of numbers.
const BLOCK: u8 = 253;
/// The length stands in the next four bytes.
const LONG: u8 = 254;
/// As `LONG`, and the item is a failure.
const FAILED: u8 = 255;

/// How long a mark and a long length are.
const HEAD: usize = 5;

/// One item of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Value(&'a [u8]),
    Failure(&'a [u8]),
}

/// What stands before numbers that lie together. A row may end within a block: then it has as many
/// as are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The length of each.
    pub(crate) size: u8,
    pub(crate) count: u32,
}

impl Block {
    pub(crate) const HEAD: usize = 8;

    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; Block::HEAD] {
        (u64::from(BLOCK) | u64::from(self.size) << 8 | u64::from(self.count) << 32).to_le_bytes()
    }

    fn from_bytes(bytes: [u8; Block::HEAD]) -> Block {
        Block { size: bytes[1], count: (u64::from_le_bytes(bytes) >> 32) as u32 }
    }
}

/// A row that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    rest: &'a [u8],
    /// What is left of the block that `rest` begins in.
    block: Block,
}

impl<'a> Row<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Row<'a> {
        Row { rest: bytes, block: Block { size: 0, count: 0 } }
    }

    /// Takes the next item off the front; `None` if there is no whole item.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Item<'a>> {
        if self.block.count == 0 {
            return self.take_slowly();
        }
        let (item, rest) = self.rest.split_at_checked(usize::from(self.block.size))?;
        self.rest = rest;
        self.block.count -= 1;
        Some(Item::Value(item))
    }

    fn take_slowly(&mut self) -> Option<Item<'a>> {
        let mut row = self.rest;
        let (mark, rest) = loop {
            let (&mark, rest) = row.split_first()?;
            if mark != BLOCK {
                break (mark, rest);
            }
            let (head, rest) = row.split_first_chunk()?;
            let block = Block::from_bytes(*head);
            if block.count > 0 {
                // Without a whole number, `self` stays before the block.
                let (item, rest) = rest.split_at_checked(usize::from(block.size.max(1)))?;
                *self = Row { rest, block: Block { count: block.count - 1, ..block } };
                return Some(Item::Value(item));
            }
            row = rest;
        };
        if mark < BLOCK {
            let (item, rest) = rest.split_at_checked(usize::from(mark))?;
            self.rest = rest;
            return Some(Item::Value(item));
        }
        let (len, rest) = rest.split_first_chunk()?;
        let (item, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.rest = rest;
        Some(if mark == LONG { Item::Value(item) } else { Item::Failure(item) })
    }

    /// Takes off the numbers that follow, if they are of that size: their bytes.
    #[inline]
    pub(crate) fn take_numbers(&mut self, size: usize) -> &'a [u8] {
        if self.block.count == 0
            && self.rest.first() == Some(&BLOCK)
            && let Some((head, rest)) = self.rest.split_first_chunk()
        {
            *self = Row { rest, block: Block::from_bytes(*head) };
        }
        if usize::from(self.block.size) != size || size == 0 {
            return &[];
        }
        let count = (self.block.count as usize).min(self.rest.len() / size);
        let (numbers, rest) = self.rest.split_at(count * size);
        self.rest = rest;
        self.block.count -= count as u32;
        numbers
    }

    /// Takes whole items off, at most `max`, and says how many there were.
    pub(crate) fn skip(&mut self, max: usize) -> usize {
        (0..max).take_while(|_| self.take().is_some()).count()
    }

    /// How many bytes have not been taken off.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Appends what has not been taken off to `row`, as a row that begins here.
    pub(crate) fn append_to(&self, row: &mut Vec<u8>) {
        if self.block.count > 0 {
            row.extend_from_slice(&self.block.to_bytes());
        }
        row.extend_from_slice(self.rest);
    }
}

/// Appends to a vector.
struct Onto<'a>(&'a mut Vec<u8>);

impl Flavor for Onto<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.reserve(bytes.len());
        prefer_huge_pages(&mut self.0.spare_capacity_mut()[..bytes.len()]);
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends `values` as items, and says how many: all, or those before the first that cannot be
/// encoded, with the reason.
pub(crate) fn push_all<T: Serialize + 'static>(
    row: &mut Vec<u8>,
    values: &[T],
) -> Result<(), (usize, String)> {
    if push_numbers(row, values) {
        return Ok(());
    }
    for (at, value) in values.iter().enumerate() {
        push(row, value).map_err(|reason| (at, reason))?;
    }
    Ok(())
}

/// Appends `value` as an item, not a number in a block. If it fails, `row` is as before.
#[inline]
pub(crate) fn push<T: Serialize + 'static>(row: &mut Vec<u8>, value: &T) -> Result<(), String> {
    if let Some(number) = Number::of(value) {
        row.push(number.len as u8);
        row.extend_from_slice(number.bytes());
        return Ok(());
    }
    push_as(row, value, LONG)
}

/// Appends a failure as an item.
pub(crate) fn push_failure<T: Serialize>(row: &mut Vec<u8>, value: &T) -> Result<(), String> {
    push_as(row, value, FAILED)
}

#[inline]
fn push_as<T: Serialize>(row: &mut Vec<u8>, value: &T, mark: u8) -> Result<(), String> {
    let start = row.len();
    // Room for a long length, whatever it will be: moving a large item costs more than four bytes.
    row.extend_from_slice(&[mark, 0, 0, 0, 0]);
    let written = postcard::serialize_with_flavor(value, Onto(row)).map_err(|e| e.to_string());
    let len = row.len() - start - HEAD;
    let fits =
        |()| u32::try_from(len).map_err(|_| format!("{len} bytes; one item holds 4 GiB at most"));
    match written.and_then(fits) {
        Ok(len) => {
            row[start + 1..start + HEAD].copy_from_slice(&len.to_le_bytes());
            Ok(())
        }
        Err(reason) => {
            row.truncate(start);
            Err(reason)
        }
    }
}

/// Appends bytes as an item.
pub(crate) fn push_bytes(row: &mut Vec<u8>, bytes: &[u8]) {
    row.push(LONG);
    row.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    row.extend_from_slice(bytes);
}

/// A number's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    len: usize,
    bytes: [u8; 16],
}

impl Number {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The compiler knows the type, so of the list one line is left, or none.
macro_rules! numbers {
    ($($number:ty),*) => {
        impl Number {
            /// The bytes of `value`; `None` if that is no number.
            #[inline(always)]
            pub(crate) fn of<T: 'static>(value: &T) -> Option<Number> {
                let value: &dyn Any = value;
                $(if let Some(number) = value.downcast_ref::<$number>() {
                    const LEN: usize = size_of::<$number>();
                    let mut bytes = [0; 16];
                    bytes[..LEN].copy_from_slice(&number.to_le_bytes());
                    return Some(Number { len: LEN, bytes });
                })*
                None
            }
        }

        /// Appends numbers as a block; `false` if they are none.
        #[inline]
        fn push_numbers<T: 'static>(row: &mut Vec<u8>, values: &[T]) -> bool {
            const fn fits(len: usize) -> bool { len <= u32::MAX as usize }
            $(if TypeId::of::<T>() == TypeId::of::<$number>() && fits(values.len()) {
                let block = Block { size: size_of::<$number>() as u8, count: values.len() as u32 };
                let start = row.len() + Block::HEAD;
                row.reserve(Block::HEAD + size_of_val(values));
                row.extend_from_slice(&block.to_bytes());
                row.resize(start + size_of_val(values), 0);
                for (place, value) in row[start..].as_chunks_mut().0.iter_mut().zip(values) {
                    let value: &dyn Any = value;
                    *place = value.downcast_ref::<$number>().map_or([0; _], |n| n.to_le_bytes());
                }
                return true;
            })*
            false
        }

        /// Reads a `T`; `None` if that is no number.
        #[inline(always)]
        fn decode_number<T: 'static>(item: &[u8]) -> Option<Result<T, String>> {
            let mut value: Option<T> = None;
            let place: &mut dyn Any = &mut value;
            $(if let Some(number) = place.downcast_mut::<Option<$number>>() {
                *number = item.try_into().ok().map(<$number>::from_le_bytes);
                return Some(value.ok_or_else(|| wrong_length(item.len())));
            })*
            None
        }

        /// Takes the numbers off that lie next in `row`, if a `T` is such a number.
        #[inline]
        #[expect(clippy::ptr_arg, reason = "it is told by its type what a `T` is")]
        pub(crate) fn take_numbers<T: 'static>(row: &mut Row<'_>, values: &mut Vec<T>) {
            let values: &mut dyn Any = values;
            $(if let Some(numbers) = values.downcast_mut::<Vec<$number>>() {
                let bytes = row.take_numbers(size_of::<$number>()).as_chunks().0;
                numbers.extend(bytes.iter().map(|bytes| <$number>::from_le_bytes(*bytes)));
            })*
        }
    };
}

numbers!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

#[cold]
fn wrong_length(len: usize) -> String {
    format!("{len} bytes are no such number")
}

/// Decodes one item, all of whose bytes must be used.
#[inline]
pub(crate) fn decode<T: DeserializeOwned + 'static>(item: &[u8]) -> Result<T, String> {
    if let Some(number) = decode_number(item) {
        return number;
    }
    // Within bounds, whatever a worker wrote: a few bytes can stand for any number of `()`.
    mp_ipc::decode_bytes(item).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(row: &[u8]) -> Vec<&[u8]> {
        let mut row = Row::new(row);
        std::iter::from_fn(|| row.take()).map(|(Item::Value(i) | Item::Failure(i))| i).collect()
    }

    #[test]
    fn rows_hold_items_of_all_lengths() {
        let lengths = [0, 1, 126, 127, 250, 252, 253, 254, 300, 70_000];
        let mut row = Vec::new();
        for len in lengths {
            push(&mut row, &"x".repeat(len)).unwrap();
        }
        push_failure(&mut row, &7u8).unwrap();
        let mut rest = Row::new(&row);
        for len in lengths {
            let Some(Item::Value(item)) = rest.take() else { panic!("item of {len}") };
            assert_eq!(decode::<String>(item).unwrap().len(), len);
        }
        assert_eq!(rest.take(), Some(Item::Failure(&[7])));
        assert_eq!((rest.take(), rest.len()), (None, 0));
    }

    #[test]
    fn numbers_come_back_or_are_refused() {
        let mut row = Vec::new();
        push(&mut row, &u64::MAX).unwrap();
        push_all(&mut row, &[-1.5f32, 2.5]).unwrap();
        push_all::<u8>(&mut row, &[]).unwrap();
        push_all(&mut row, &[300u16]).unwrap();
        let items = items(&row);
        assert_eq!(decode::<u64>(items[0]), Ok(u64::MAX));
        assert_eq!(decode::<f32>(items[2]), Ok(2.5));
        assert!(decode::<u64>(items[3]).unwrap_err().contains("2 bytes"));
        let (mut rest, mut whole) = (Row::new(&row[9..]), Vec::<f32>::new());
        take_numbers(&mut rest, &mut whole);
        assert_eq!(whole, [-1.5, 2.5]);
        assert!(decode::<Vec<()>>(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(), "it goes on for long");
    }

    #[test]
    fn a_row_cut_anywhere_has_only_its_whole_items() {
        let mut row = Vec::new();
        let mut ends = vec![0];
        for len in [3, 0, 300, 10] {
            push(&mut row, &"y".repeat(len)).unwrap();
            ends.push(row.len());
        }
        ends.extend([1, 2, 3].map(|n| row.len() + Block::HEAD + 4 * n));
        push_all(&mut row, &[1u32, 2, 3]).unwrap();
        for cut in 0..=row.len() {
            let mut rest = Row::new(&row[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!((rest.skip(usize::MAX), cut - rest.len()), (whole, ends[whole]), "at {cut}");
        }
        for done in 0..ends.len() {
            let (mut rest, mut tail) = (Row::new(&row), Vec::new());
            assert_eq!(rest.skip(done), done);
            rest.append_to(&mut tail);
            assert_eq!(items(&tail), items(&row)[done..], "after {done}");
        }
    }
}
