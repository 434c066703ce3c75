//! Copying between private memory and memory that others may be writing.
//!
//! A race with another process gives some mixture of old and new bytes, never undefined
//! behaviour: the shared side is only touched by atomic accesses, or by processor instructions
//! that the compiler can neither see into nor assume anything about.
//!
//! Measured on a Xeon with AVX-512 and fast string moves (GB/s, within the caches; `memcpy` is the
//! C library's over the same memory, with which the mixture is undefined behaviour):
//!
//! | bytes | words | blocks | string | `memcpy` |
//! | --- | --- | --- | --- | --- |
//! | 64 | 10 to 18 | 38 to 43 | 21 | 36 |
//! | 256 | 19 to 25 | 65 to 76 | 29 to 32 | 76 to 92 |
//! | 1 KiB | | 98 to 102 | 77 to 81 | 133 to 178 |
//! | 2 KiB | | 76 to 105 | 92 to 109 | 142 to 155 |
//! | 4 KiB | | 97 | 124 to 136 | 125 to 132 |
//! | 64 KiB | | 43 to 46 | 47 to 49 | 47 to 49 |
//! | 1 MiB | | 21 to 34 | 24 to 36 | 23 to 36 |
//! | 64 MiB | | 1.3 to 2.4 | 1.3 to 2.2 | 1.4 to 2.1 |
#![expect(unsafe_code, reason = "copies through raw pointers into a mapping")]

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// From here on blocks are faster than words; less than one does not fit them.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 64;

/// From here on the string instruction is faster than blocks, and as fast as `memcpy`.
#[cfg(target_arch = "x86_64")]
const BULK: usize = 2048;

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
    if len >= BLOCK {
        // SAFETY: the caller's promises.
        return unsafe { large_copy(from, to, len) };
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
    if from.len() >= BLOCK {
        // SAFETY: the caller's promise for `to`; `from` is a slice of that length.
        return unsafe { large_copy(from.as_ptr(), to, from.len()) };
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

/// # Safety
///
/// `len` bytes, at least [`BLOCK`], are readable at `from` and writable at `to`, and they do not
/// overlap.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn large_copy(from: *const u8, to: *mut u8, len: usize) {
    if len >= BULK {
        // SAFETY: by contract.
        unsafe { string_copy(from, to, len) }
    } else {
        // SAFETY: by contract.
        unsafe { block_copy(from, to, len) }
    }
}

/// Blocks of 64 bytes, and the last 64 bytes once more if a part of a block is left.
///
/// # Safety
///
/// As [`large_copy`].
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn block_copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: by contract: each turn moves the 64 bytes at one offset, which is at most
    // `len - 64`; SSE2 is part of x86-64, and no stack is used.
    unsafe {
        std::arch::asm!(
            "2:",
            "movups {a}, [{from} + {at}]",
            "movups {b}, [{from} + {at} + 16]",
            "movups {c}, [{from} + {at} + 32]",
            "movups {d}, [{from} + {at} + 48]",
            "movups [{to} + {at}], {a}",
            "movups [{to} + {at} + 16], {b}",
            "movups [{to} + {at} + 32], {c}",
            "movups [{to} + {at} + 48], {d}",
            "add {at}, 64",
            "cmp {at}, {last}",
            "jb 2b",         // another whole block before the last
            "cmp {at}, {len}",
            "mov {at}, {last}",
            "jb 2b",         // the last one, from the end of the copy backwards
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            at = inout(reg) 0_usize => _,
            from = in(reg) from,
            to = in(reg) to,
            last = in(reg) len - BLOCK,
            len = in(reg) len,
            options(nostack)
        );
    }
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
