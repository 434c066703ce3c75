//! Deliberately broken twins: the harness must see what is wrong with each.

use std::sync::atomic::{AtomicU32, Ordering};

use mp_shm::Placed;
use mp_tests::step::Scene;

use crate::Operation;

pub(crate) const OPERATIONS: &[Operation] =
    &[Operation::control("control: a lock outside of the robust list", || Box::new(Plain::new()))];

/// A lock that its holder's death does not free.
struct Plain {
    word: Placed<AtomicU32>,
}

impl Plain {
    fn new() -> Plain {
        Plain { word: Placed::zeroed().expect("memory") }
    }
}

impl Scene for Plain {
    fn act(&self) {
        self.word.store(1, Ordering::Release);
        self.word.store(0, Ordering::Release);
    }

    fn check(&self, _finished: bool) -> Result<(), String> {
        match self.word.load(Ordering::Acquire) {
            0 => Ok(()),
            _ => Err("held for ever".to_owned()),
        }
    }
}
