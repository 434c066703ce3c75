//! The numbers that a [`Value`](crate::Value) or an [`Array`](crate::Array) may hold.
//!
//! Orderings, for all of them and for once: a load is an Acquire, a store a Release, and whatever
//! does both is both. So who loads what another has stored also sees all that the other wrote
//! before. The partner of each is the same word's store, load or exchange in another thread or
//! process.

use std::fmt::Debug;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize,
};

use crate::Words;

/// A number that shared memory holds as one atomic word: an integer of 8 to 64 bits, `usize`,
/// `isize`, `f32`, `f64` or `bool`.
///
/// Not `i128` and `u128`: stable Rust has no lock-free atomics of that width, and a value that
/// could tear, or whose lock a dead process could hold, would not be what the others are. Two
/// halves, or a mutex around the whole, serve instead.
pub trait Element:
    Copy + Default + PartialEq + Debug + Send + Sync + 'static + sealed::Cell
{
}

/// An [`Element`] that can be added to and compared: all but `bool`.
pub trait Number: Element + PartialOrd + sealed::Arithmetic {}

/// An [`Element`] made of bits: integers and `bool`.
pub trait Bits: Element + sealed::Logic {}

pub(crate) mod sealed {
    use super::Words;

    pub trait Cell: Sized {
        type Word: Words;
        fn load(word: &Self::Word) -> Self;
        fn store(self, word: &Self::Word);
        fn swap(self, word: &Self::Word) -> Self;
        fn exchange(word: &Self::Word, current: Self, new: Self) -> Result<Self, Self>;
        /// The elements' bytes.
        fn bytes(slice: &[Self]) -> &[u8];
        /// The same, to be overwritten; `None` if not every pattern of bits is an element.
        fn bytes_mut(slice: &mut [Self]) -> Option<&mut [u8]>;
    }

    pub trait Arithmetic: Cell {
        fn fetch_add(self, word: &Self::Word) -> Self;
        fn fetch_sub(self, word: &Self::Word) -> Self;
        fn fetch_min(self, word: &Self::Word) -> Self;
        fn fetch_max(self, word: &Self::Word) -> Self;
    }

    pub trait Logic: Cell {
        fn fetch_and(self, word: &Self::Word) -> Self;
        fn fetch_or(self, word: &Self::Word) -> Self;
        fn fetch_xor(self, word: &Self::Word) -> Self;
    }
}

// A message or a file of numbers means the same on every machine that we run on.
const _: () = assert!(size_of::<usize>() == size_of::<u64>());

macro_rules! plain_bytes {
    () => {
        #[inline]
        fn bytes(slice: &[Self]) -> &[u8] {
            bytemuck::cast_slice(slice)
        }
        #[inline]
        fn bytes_mut(slice: &mut [Self]) -> Option<&mut [u8]> {
            Some(bytemuck::cast_slice_mut(slice))
        }
    };
}

macro_rules! integers {
    ($($number:ty: $atomic:ty),*) => {$(
        impl sealed::Cell for $number {
            type Word = $atomic;
            #[inline]
            fn load(word: &$atomic) -> Self {
                word.load(Acquire)
            }
            #[inline]
            fn store(self, word: &$atomic) {
                word.store(self, Release);
            }
            #[inline]
            fn swap(self, word: &$atomic) -> Self {
                word.swap(self, AcqRel)
            }
            #[inline]
            fn exchange(word: &$atomic, current: Self, new: Self) -> Result<Self, Self> {
                word.compare_exchange(current, new, AcqRel, Acquire)
            }
            plain_bytes!();
        }

        impl sealed::Arithmetic for $number {
            #[inline]
            fn fetch_add(self, word: &$atomic) -> Self {
                word.fetch_add(self, AcqRel)
            }
            #[inline]
            fn fetch_sub(self, word: &$atomic) -> Self {
                word.fetch_sub(self, AcqRel)
            }
            #[inline]
            fn fetch_min(self, word: &$atomic) -> Self {
                word.fetch_min(self, AcqRel)
            }
            #[inline]
            fn fetch_max(self, word: &$atomic) -> Self {
                word.fetch_max(self, AcqRel)
            }
        }

        impl sealed::Logic for $number {
            #[inline]
            fn fetch_and(self, word: &$atomic) -> Self {
                word.fetch_and(self, AcqRel)
            }
            #[inline]
            fn fetch_or(self, word: &$atomic) -> Self {
                word.fetch_or(self, AcqRel)
            }
            #[inline]
            fn fetch_xor(self, word: &$atomic) -> Self {
                word.fetch_xor(self, AcqRel)
            }
        }

        impl Element for $number {}
        impl Number for $number {}
        impl Bits for $number {}
    )*};
}

integers!(
    u8: AtomicU8, u16: AtomicU16, u32: AtomicU32, u64: AtomicU64, usize: AtomicUsize,
    i8: AtomicI8, i16: AtomicI16, i32: AtomicI32, i64: AtomicI64, isize: AtomicIsize
);

/// A float is the word of its bits. What the processor has no instruction for is done on a copy
/// and exchanged, again if another was faster.
macro_rules! floats {
    ($($number:ty: $atomic:ty),*) => {$(
        impl sealed::Cell for $number {
            type Word = $atomic;
            #[inline]
            fn load(word: &$atomic) -> Self {
                Self::from_bits(word.load(Acquire))
            }
            #[inline]
            fn store(self, word: &$atomic) {
                word.store(self.to_bits(), Release);
            }
            #[inline]
            fn swap(self, word: &$atomic) -> Self {
                Self::from_bits(word.swap(self.to_bits(), AcqRel))
            }
            #[inline]
            fn exchange(word: &$atomic, current: Self, new: Self) -> Result<Self, Self> {
                word.compare_exchange(current.to_bits(), new.to_bits(), AcqRel, Acquire)
                    .map(Self::from_bits)
                    .map_err(Self::from_bits)
            }
            plain_bytes!();
        }

        impl sealed::Arithmetic for $number {
            #[inline]
            fn fetch_add(self, word: &$atomic) -> Self {
                fetch(word, |value: Self| value + self)
            }
            #[inline]
            fn fetch_sub(self, word: &$atomic) -> Self {
                fetch(word, |value: Self| value - self)
            }
            #[inline]
            fn fetch_min(self, word: &$atomic) -> Self {
                fetch(word, |value: Self| value.min(self))
            }
            #[inline]
            fn fetch_max(self, word: &$atomic) -> Self {
                fetch(word, |value: Self| value.max(self))
            }
        }

        impl Element for $number {}
        impl Number for $number {}
    )*};
}

floats!(f32: AtomicU32, f64: AtomicU64);

/// A `bool` is a byte: zero is `false`, whatever else another process wrote is `true`.
impl sealed::Cell for bool {
    type Word = AtomicU8;
    #[inline]
    fn load(word: &AtomicU8) -> bool {
        word.load(Acquire) != 0
    }
    #[inline]
    fn store(self, word: &AtomicU8) {
        word.store(self.into(), Release);
    }
    #[inline]
    fn swap(self, word: &AtomicU8) -> bool {
        word.swap(self.into(), AcqRel) != 0
    }
    #[inline]
    fn exchange(word: &AtomicU8, current: bool, new: bool) -> Result<bool, bool> {
        word.try_update(AcqRel, Acquire, |byte| ((byte != 0) == current).then_some(new.into()))
            .map(|byte| byte != 0)
            .map_err(|byte| byte != 0)
    }
    #[inline]
    fn bytes(slice: &[bool]) -> &[u8] {
        bytemuck::cast_slice(slice)
    }
    #[inline]
    fn bytes_mut(_: &mut [bool]) -> Option<&mut [u8]> {
        None
    }
}

impl sealed::Logic for bool {
    #[inline]
    fn fetch_and(self, word: &AtomicU8) -> bool {
        fetch(word, |value: bool| value & self)
    }
    #[inline]
    fn fetch_or(self, word: &AtomicU8) -> bool {
        fetch(word, |value: bool| value | self)
    }
    #[inline]
    fn fetch_xor(self, word: &AtomicU8) -> bool {
        fetch(word, |value: bool| value ^ self)
    }
}

impl Element for bool {}
impl Bits for bool {}

/// Exchanges the value for what `change` makes of it, until nobody came between.
pub(crate) fn fetch<T: Copy + sealed::Cell>(word: &T::Word, mut change: impl FnMut(T) -> T) -> T {
    let mut seen = T::load(word);
    loop {
        match T::exchange(word, seen, change(seen)) {
            Ok(previous) => return previous,
            Err(found) => seen = found,
        }
    }
}
