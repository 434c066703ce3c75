use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, Index, RangeBounds};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::placed::Any;
use crate::{Atomic, Element, Error, Kind, Region, Window, arena, type_hash};

/// Numbers in a row that several processes read and change, each of them an [`Atomic`].
///
/// A clone, and whatever arrives where an `Array` was sent, is the same array. So is a
/// [`slice`](Array::slice): a handle to a part. Single elements are reached by
/// [`at`](Array::at) or `array[i]`, with every operation of an atomic; many at once are copied in
/// and out at the speed of memory. A copy is not one step: what others write
/// meanwhile it brings in part, even in part of an element. Where that matters, go by elements or
/// take a lock.
///
/// Small arrays share a region with others; one of more than 16 KiB has its own.
///
/// Python: `multiprocessing.Array(typecode, size_or_initializer)`
///
/// # Examples
///
/// ```
/// use mp_shm::{Array, Error};
///
/// let squares = Array::from_slice(&[0_i64, 1, 4, 9, 16])?;
/// squares[4].fetch_add(1);
/// assert_eq!(squares.get(4), Some(17));
/// assert_eq!(squares.get(5), None);
///
/// let middle = squares.slice(1..4)?;
/// middle.fill(7);
/// assert_eq!(squares.to_vec(), [0, 7, 7, 7, 17]);
/// assert!(matches!(middle.copy_from_slice(&[1, 2]), Err(Error::Length { expected: 3, found: 2 })));
/// # Ok::<(), Error>(())
/// ```
///
/// There is no `&[T]` into memory that others write ([`Frozen`](crate::Frozen) gives one into
/// memory that nobody does), and an element does not outlive its array:
///
/// ```compile_fail,E0597
/// let element = {
///     let array = mp_shm::Array::<u8>::new(4).unwrap();
///     &array[0]
/// };
/// element.load();
/// ```
#[doc(alias = "RawArray")]
pub struct Array<T: Element> {
    // INVARIANT (array): element `i < len` is the word at `i * stride`, aligned; the last one ends
    // within the window.
    window: Window,
    len: usize,
    stride: usize,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Array<T> {
    const SIZE: usize = size_of::<Atomic<T>>();

    /// Makes an array of `len` elements, all zero (or `false`).
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the memory or a descriptor is not to be had.
    pub fn new(len: usize) -> Result<Array<T>, Error> {
        Array::zeroed(len, Self::SIZE)
    }

    /// Makes an array whose elements have a cache line (64 bytes) each, for processes that
    /// change neighbours all the time. It takes up to 64 times the room, and bulk copies go
    /// element by element.
    ///
    /// # Errors
    ///
    /// As [`new`](Array::new).
    pub fn padded(len: usize) -> Result<Array<T>, Error> {
        Array::zeroed(len, arena::LINE)
    }

    /// Makes an array of the elements of `slice`.
    ///
    /// # Errors
    ///
    /// As [`new`](Array::new).
    pub fn from_slice(slice: &[T]) -> Result<Array<T>, Error> {
        let array = Array::new(slice.len())?;
        array.copy_from_slice(slice)?;
        Ok(array)
    }

    fn zeroed(len: usize, stride: usize) -> Result<Array<T>, Error> {
        let size = len.saturating_mul(stride);
        let (region, offset) = if size > arena::LARGEST {
            (Region::create(Kind::ARRAY, size, type_hash::<T>())?, 0)
        } else {
            arena::take(size, stride)?
        };
        Ok(Array { window: region.window(offset, size)?, len, stride, element: PhantomData })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What element `index` holds; `None` beyond the end.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T> {
        self.at(index).map(Atomic::load)
    }

    /// Replaces what element `index` holds.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] beyond the end.
    #[inline]
    pub fn set(&self, index: usize, value: T) -> Result<(), Error> {
        self.at(index).ok_or(Error::Index { index, len: self.len })?.store(value);
        Ok(())
    }

    /// Element `index`, with all its operations; `None` beyond the end.
    #[inline]
    pub fn at(&self, index: usize) -> Option<&Atomic<T>> {
        // The window would refuse an index beyond a slice's end only if no neighbour followed.
        (index < self.len).then(|| self.window.word(index * self.stride).ok()).flatten()
    }

    /// What the elements hold, one after the other, each read when its turn comes.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = T> + ExactSizeIterator + '_ {
        (0..self.len).map(|index| self[index].load())
    }

    /// A handle to the elements in `range`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if the range does not lie within the array.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Array<T>, Error> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len,
        };
        let len = end.saturating_sub(start);
        if start > end || end > self.len {
            return Err(Error::OutOfBounds { offset: start, len, size: self.len });
        }
        let window = self.window.part(start * self.stride, len * self.stride)?;
        Ok(Array { window, len, stride: self.stride, element: PhantomData })
    }

    /// Makes every element `value`.
    pub fn fill(&self, value: T) {
        for index in 0..self.len {
            self[index].store(value);
        }
    }

    /// Copies all elements into `to`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `to` has another length.
    pub fn copy_to_slice(&self, to: &mut [T]) -> Result<(), Error> {
        self.expect_len(to.len())?;
        if self.stride == Self::SIZE
            && let Some(bytes) = T::bytes_mut(to)
        {
            return self.window.read(0, bytes);
        }
        for (index, element) in to.iter_mut().enumerate() {
            *element = self[index].load();
        }
        Ok(())
    }

    /// Copies `from` over the elements.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `from` has another length; then nothing is written.
    pub fn copy_from_slice(&self, from: &[T]) -> Result<(), Error> {
        self.expect_len(from.len())?;
        if self.stride == Self::SIZE {
            return self.window.write(0, T::bytes(from));
        }
        for (index, element) in from.iter().enumerate() {
            self[index].store(*element);
        }
        Ok(())
    }

    /// A private copy of all elements.
    pub fn to_vec(&self) -> Vec<T> {
        let mut elements = vec![T::default(); self.len];
        // Cannot fail: the lengths are equal.
        let _ = self.copy_to_slice(&mut elements);
        elements
    }

    /// Whether both are the same elements of the same memory.
    pub fn same(&self, other: &Array<T>) -> bool {
        let place = |array: &Array<T>| (array.window.offset(), array.len, array.stride);
        self.window.region().same(other.window.region()) && place(self) == place(other)
    }

    fn expect_len(&self, found: usize) -> Result<(), Error> {
        let expected = self.len;
        if found == expected { Ok(()) } else { Err(Error::Length { expected, found }) }
    }
}

/// # Panics
///
/// Beyond the end, as a slice does.
impl<T: Element> Index<usize> for Array<T> {
    type Output = Atomic<T>;

    #[inline]
    fn index(&self, index: usize) -> &Atomic<T> {
        match self.at(index) {
            Some(element) => element,
            None => panic!("index {index} is beyond the end of an array of {}", self.len),
        }
    }
}

impl<T: Element> Clone for Array<T> {
    fn clone(&self) -> Array<T> {
        Array { window: self.window.clone(), ..*self }
    }
}

impl<T: Element> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Element> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = (self.window.offset() as u64, self.len as u64, self.stride != Self::SIZE);
        (self.window.region(), place, type_hash::<T>()).serialize(serializer)
    }
}

impl<'de, T: Element> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Array<T>, D::Error> {
        type Sent = (Any, (u64, u64, bool), u64);
        let (Any(region), (offset, len, padded), found) = Sent::deserialize(deserializer)?;
        let expected = type_hash::<T>();
        if found != expected {
            let name = std::any::type_name::<T>();
            return Err(de::Error::custom(Error::Element { name, expected, found }));
        }
        let stride = if padded { arena::LINE } else { Self::SIZE };
        let (offset, len) = (offset as usize, len as usize);
        let window =
            region.window(offset, len.saturating_mul(stride)).map_err(de::Error::custom)?;
        if !offset.is_multiple_of(Self::SIZE) {
            let misaligned = Error::Misaligned { offset, align: Self::SIZE };
            return Err(de::Error::custom(misaligned));
        }
        Ok(Array { window, len, stride, element: PhantomData })
    }
}
