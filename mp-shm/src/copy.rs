//! Copying between private memory and memory that others may be writing.
//!
//! A race with another process gives some mixture of old and new bytes, never undefined
//! behaviour: the shared side is only touched by atomic accesses, or by one processor
//! instruction, which the compiler can neither see into nor assume anything about.
#![expect(unsafe_code, reason = "copies through raw pointers into a mapping")]

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// From here on the string instruction is faster than single words (measured: 200 to 300 bytes).
#[cfg(target_arch = "x86_64")]
const BULK: usize = 256;

const WORD: usize = size_of::<u64>();

/// Copies `to.len()` bytes out of shared memory.
///
/// # Safety
///
/// `from` points at that many mapped, readable bytes, which this thread holds no reference into.
#[inline]
pub(crate) unsafe fn copy_out(from: *const u8, to: &mut [u8]) {
    // SAFETY: the caller's promise for `from`; `to` is a slice of that length.
    unsafe { copy_out_raw(from, to.as_mut_ptr(), to.len()) }
}

/// Copies `len` bytes out of shared memory, to where there may be no values yet.
///
/// # Safety
///
/// As [`copy_out`] for `from`; `to` points at `len` writable private bytes.
#[inline]
pub(crate) unsafe fn copy_out_raw(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if len >= BULK {
        // SAFETY: the caller's promises.
        return unsafe { string_copy(from, to, len) };
    }
    let (head, words) = split(from, len);
    let tail = head + words * WORD;
    for at in (0..head).chain(tail..len) {
        // SAFETY: `at < len`.
        let byte = unsafe { byte_at(from, at) }.load(Ordering::Relaxed);
        // SAFETY: `at < len`, so within the private bytes.
        unsafe { write_at(to, at, byte) };
    }
    for at in (head..tail).step_by(WORD) {
        // SAFETY: the word lies within the copy, and `split` put `head` at an aligned address.
        let word = unsafe { word_at(from, at) }.load(Ordering::Relaxed);
        // SAFETY: `at + WORD <= len`, so within the private bytes.
        unsafe { write_at(to, at, word.to_ne_bytes()) };
    }
}

/// # Safety
///
/// A `T` fits at `base + at`, within writable private bytes.
#[inline]
unsafe fn write_at<T: Copy>(base: *mut u8, at: usize, value: T) {
    // SAFETY: within the same private bytes, by contract.
    let to = unsafe { base.add(at) };
    // SAFETY: writable, by contract, and an unaligned write asks for no more.
    unsafe { to.cast::<T>().write_unaligned(value) };
}

/// Copies `from` into shared memory.
///
/// # Safety
///
/// `to` points at `from.len()` mapped, writable bytes, which this thread holds no reference into.
#[inline]
pub(crate) unsafe fn copy_in(from: &[u8], to: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    if from.len() >= BULK {
        // SAFETY: the caller's promise for `to`; `from` is a slice of that length.
        return unsafe { string_copy(from.as_ptr(), to, from.len()) };
    }
    let (head, words) = split(to, from.len());
    let (bytes, rest) = from.split_at(head);
    let (whole, tail) = rest.split_at(words * WORD);
    for (at, byte) in bytes.iter().enumerate() {
        // SAFETY: `at < head <= from.len()`.
        unsafe { byte_at(to, at) }.store(*byte, Ordering::Relaxed);
    }
    for (at, word) in whole.as_chunks::<WORD>().0.iter().enumerate() {
        // SAFETY: the word lies within the copy, and `split` put `head` at an aligned address.
        let shared = unsafe { word_at(to, head + at * WORD) };
        shared.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
    }
    for (at, byte) in tail.iter().enumerate() {
        // SAFETY: the last bytes of the copy.
        unsafe { byte_at(to, head + words * WORD + at) }.store(*byte, Ordering::Relaxed);
    }
}

/// How many bytes come before the first aligned word, and how many whole words follow them.
#[inline]
fn split(shared: *const u8, len: usize) -> (usize, usize) {
    let head = shared.addr().wrapping_neg() % WORD;
    let head = head.min(len);
    (head, (len - head) / WORD)
}

/// # Safety
///
/// `base + at` lies within the mapped bytes of the copy.
#[inline]
unsafe fn byte_at<'a>(base: *const u8, at: usize) -> &'a AtomicU8 {
    // SAFETY: within the same mapping, by contract.
    let byte = unsafe { base.add(at) };
    // SAFETY: mapped for the duration of the copy; atomics may race with other processes.
    unsafe { AtomicU8::from_ptr(byte.cast_mut()) }
}

/// # Safety
///
/// `base + at` is aligned for `u64` and eight mapped bytes of the copy follow it.
#[inline]
unsafe fn word_at<'a>(base: *const u8, at: usize) -> &'a AtomicU64 {
    // SAFETY: within the same mapping, by contract.
    let word = unsafe { base.add(at) };
    // SAFETY: aligned and mapped, by contract; atomics may race with other processes.
    unsafe { AtomicU64::from_ptr(word.cast_mut().cast()) }
}

/// `rep movsb`: the processor copies, at the speed of memory.
///
/// # Safety
///
/// `len` bytes are readable at `from` and writable at `to`, and they do not overlap.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn string_copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: by contract; the direction flag is clear (System V ABI), flags are not changed, and
    // no stack is used.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
}
