//! What may lie in shared memory.
#![expect(
    unsafe_code,
    reason = "the trait is a promise about bytes that the compiler cannot check"
)]

use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize,
};

/// A type that may lie in memory which other processes read and write.
///
/// # Safety
///
/// - It is `repr(C)` or `repr(transparent)`, so that every process lays it out alike.
/// - What another process may write is an atomic, a `Place` type, or in an `UnsafeCell` that is
///   reached by a protocol (a lock) that every process follows; never a plain field.
/// - All zero bytes are a valid value, its initial state.
/// - Its alignment is at most 64. It has no destructor that must run.
pub unsafe trait Place: Send + Sync + 'static {}

/// A [`Place`] type that is made of atomics alone and relies on nothing about their values.
///
/// # Safety
///
/// Whatever any process writes into its bytes, at any time, its methods stay sound.
pub unsafe trait Words: Place {}

macro_rules! atomics {
    ($($atomic:ty),*) => {$(
        // SAFETY: an atomic, `repr(C)`, for which zero is valid.
        unsafe impl Place for $atomic {}
        // SAFETY: an atomic integer, for which every bit pattern is valid.
        unsafe impl Words for $atomic {}
    )*};
}

atomics!(AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize);
atomics!(AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize);

// SAFETY: an array is laid out as its elements in a row, and each of them is a `Place`.
unsafe impl<T: Place, const N: usize> Place for [T; N] {}
// SAFETY: as its elements.
unsafe impl<T: Words, const N: usize> Words for [T; N] {}
