//! What a storm does, one thing after the other: drawn from the seed, and from nothing else.

use std::time::Duration;

use crate::Random;

/// The kinds of those who are hit.
pub(crate) const KINDS: [&str; 6] =
    ["producers", "consumers", "lock users", "clients", "workers", "servers"];

/// A manager's server has company, and so is hit less often.
pub(crate) const SERVER: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Death,
    /// For so long.
    Pause(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// First there is peace for this long.
    pub(crate) peace: Duration,
    pub(crate) fate: Fate,
    pub(crate) kind: usize,
    /// Which one of them.
    pub(crate) nth: usize,
}

/// Orders without end.
pub(crate) struct Orders(pub(crate) Random);

impl Iterator for Orders {
    type Item = Order;

    fn next(&mut self) -> Option<Order> {
        let peace = Duration::from_micros(self.0.below(4_000));
        let (die, nth) = (self.0.below(32) as usize, self.0.below(3) as usize);
        let pause = Fate::Pause(Duration::from_micros(self.0.below(5_000)));
        let (fate, kind) = match die {
            0..25 => (Fate::Death, die % SERVER),
            25..31 => (pause, die - 25),
            _ => (Fate::Death, SERVER),
        };
        Some(Order { peace, fate, kind, nth })
    }
}
