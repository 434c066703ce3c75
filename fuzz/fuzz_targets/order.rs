//! Arbitrary bytes as what a process is started with: its mark, its order, the letters to its
//! parent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mp_fuzz::descriptor;

fuzz_target!(|input: (&str, u16, u8, &[u8], Vec<u8>)| {
    let (mark, len, count, bytes, kinds) = input;
    let fds = || kinds.iter().take(4).map(|kind| descriptor(*kind)).collect();
    mp_process::feed(mark, bytes, fds());
    // Lengths that fit, mostly: of the order, and of its descriptors.
    let lengths = [u32::from(len).to_le_bytes(), u32::from(count % 6).to_le_bytes()].concat();
    mp_process::feed(mark, &[&lengths[..], bytes].concat(), fds());
});
