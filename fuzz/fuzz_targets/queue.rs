//! A queue whose memory another process scribbles over.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../mp-ipc/tests/it/scribble.rs"]
mod scribble;

use scribble::{HEADER, RING, Step, WORDS};

fuzz_target!(|steps: Vec<(u8, u16, u32, u32)>| {
    let steps: Vec<Step> = steps
        .into_iter()
        .take(60)
        .map(|(op, at, high, low)| match op % 16 {
            0..4 => Step::Put(usize::from(at) % 6_000, op & 16 != 0),
            4 => Step::Get,
            5 => Step::Wait,
            6 => Step::Lease,
            7 => Step::Ack,
            8 => Step::GiveBack,
            9 => Step::Drain,
            10 => Step::Attach,
            11 => Step::Join,
            _ => {
                let place = match at % 8 {
                    0 => u64::from(at >> 3) % 8 * 8,
                    1..4 => RING + u64::from(at >> 3) % 512 * 8,
                    4 => HEADER + 320 + u64::from(at >> 3) % 255 * 8,
                    _ => HEADER + WORDS[usize::from(at >> 3) % WORDS.len()],
                };
                // Small numbers are met more often than large ones.
                let half = |half: u32| if half & 3 == 0 { half } else { half >> 16 & 0x3ff };
                Step::Scribble(place, u64::from(half(high)) << 32 | u64::from(half(low)))
            }
        })
        .collect();
    scribble::run(&steps);
});
