//! Locks and their relatives whose memory another process scribbles over.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../mp-sync/tests/it/scribble.rs"]
mod scribble;

fuzz_target!(|bytes: &[u8]| scribble::run(bytes));
