//! Arbitrary requests of two strangers to a manager's server, who know its key.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// Whose it is, and the request; one that begins with 255 comes without its length before it.
type Piece = (bool, Vec<u8>);

fuzz_target!(|pieces: Vec<Piece>| {
    let mut inputs = [Vec::new(), Vec::new()];
    for (whose, body) in &pieces {
        let input = &mut inputs[usize::from(*whose)];
        match body.split_first() {
            Some((255, raw)) => input.extend_from_slice(raw),
            _ => {
                input.extend((body.len() as u32).to_le_bytes());
                input.extend_from_slice(body);
            }
        }
    }
    mp_manager::feed([&inputs[0], &inputs[1]]);
});
