//! Items in a row: how arguments and results lie in a message.
//!
//! Each item is `[length][bytes]`, so that one that cannot be decoded spoils no other. The length
//! of a number is one byte; [`LONG`] is followed by four bytes of length; [`FAILED`], in replies
//! only, is followed by the length of an encoded [`Failure`](crate::job::Failure).

use std::any::Any;

use serde::Serialize;
use serde::de::DeserializeOwned;

use postcard::ser_flavors::Flavor;

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
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends `value` as an item. If it fails, `row` is as before.
#[inline]
pub(crate) fn push<T: Serialize + 'static>(row: &mut Vec<u8>, value: &T) -> Result<(), String> {
    if push_number(row, value) {
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

/// Takes the next item off the front of `row`; `None` if there is no whole item.
#[inline]
pub(crate) fn take<'a>(row: &mut &'a [u8]) -> Option<Item<'a>> {
    let (&mark, rest) = row.split_first()?;
    if mark < LONG {
        let (item, rest) = rest.split_at_checked(usize::from(mark))?;
        *row = rest;
        return Some(Item::Value(item));
    }
    let (len, rest) = rest.split_first_chunk()?;
    let (item, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *row = rest;
    Some(if mark == LONG { Item::Value(item) } else { Item::Failure(item) })
}

/// Numbers lie in a row as they lie in memory: many small items are most often numbers, and
/// then a good part of the time goes into these few lines. The compiler knows the type, so of
/// the list one line is left, or none.
macro_rules! numbers {
    ($($number:ty),*) => {
        /// Appends a number; `false` if `value` is none.
        #[inline]
        fn push_number<T: 'static>(row: &mut Vec<u8>, value: &T) -> bool {
            let value: &dyn Any = value;
            $(if let Some(number) = value.downcast_ref::<$number>() {
                const LEN: usize = size_of::<$number>();
                let mut item = [LEN as u8; 1 + LEN];
                item[1..].copy_from_slice(&number.to_le_bytes());
                row.extend_from_slice(&item);
                return true;
            })*
            false
        }

        /// Reads a `T`; `None` if that is no number.
        #[inline]
        fn decode_number<T: 'static>(item: &[u8]) -> Option<Result<T, String>> {
            let mut value: Option<T> = None;
            let place: &mut dyn Any = &mut value;
            $(if let Some(number) = place.downcast_mut::<Option<$number>>() {
                *number = item.try_into().ok().map(<$number>::from_le_bytes);
                return Some(value.ok_or_else(|| wrong_length(item.len())));
            })*
            None
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
    match postcard::take_from_bytes(item) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes are left over", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// How many whole items stand in `row`, and how many bytes they take.
pub(crate) fn count(row: &[u8], max: usize) -> (usize, usize) {
    let mut rest = row;
    let mut items = 0;
    while items < max && take(&mut rest).is_some() {
        items += 1;
    }
    (items, row.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_items_of_all_lengths() {
        let lengths = [0, 1, 126, 127, 250, 252, 253, 254, 300, 70_000];
        let mut row = Vec::new();
        for len in lengths {
            push(&mut row, &"x".repeat(len)).unwrap();
        }
        push_failure(&mut row, &7u8).unwrap();
        assert_eq!(count(&row, usize::MAX), (lengths.len() + 1, row.len()));
        let mut rest = &row[..];
        for len in lengths {
            let Some(Item::Value(item)) = take(&mut rest) else { panic!("item of {len}") };
            assert_eq!(decode::<String>(item).unwrap().len(), len);
        }
        assert_eq!(take(&mut rest), Some(Item::Failure(&[7])));
        assert_eq!(take(&mut rest), None);
    }

    #[test]
    fn numbers_come_back_or_are_refused() {
        let mut row = Vec::new();
        push(&mut row, &u64::MAX).unwrap();
        push(&mut row, &-1.5f32).unwrap();
        push(&mut row, &300u16).unwrap();
        let mut rest = &row[..];
        let mut next = || match take(&mut rest) {
            Some(Item::Value(item)) => item.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(decode::<u64>(&next()), Ok(u64::MAX));
        assert_eq!(decode::<f32>(&next()), Ok(-1.5));
        assert!(decode::<u64>(&next()).unwrap_err().contains("2 bytes"));
    }

    #[test]
    fn a_row_cut_anywhere_has_only_its_whole_items() {
        let mut row = Vec::new();
        let mut ends = vec![0];
        for len in [3, 0, 300, 10] {
            push(&mut row, &"y".repeat(len)).unwrap();
            ends.push(row.len());
        }
        for cut in 0..=row.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(count(&row[..cut], usize::MAX), (whole, ends[whole]), "cut at {cut}");
        }
    }
}
