//! Killing at random.

pub(crate) const TESTS: &[(&str, fn())] = &[];
