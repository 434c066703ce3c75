//! The way to any instruction of an operation, in few stops.
//!
//! One run is recorded instruction by instruction. To come to the `k`-th again, the child runs at
//! its own speed to an address, and from there to another, where `stop_before` stops it. A hop
//! leads from one stop to the next time that an address comes up: so it may begin anywhere after
//! the last time before `k` that the address of `k` came up, and the best of these places is the
//! one with the fewest hops before it. Without loops that is one hop; in the innermost of some
//! loops it is about one for each round that they have made.

use std::collections::HashMap;

/// The address of an instruction where the machine does not say it.
pub(crate) const UNKNOWN: usize = 0;

/// What one run went through, and how to come to each place of it.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// The address of the instruction that comes next, after `k` of them.
    at: Vec<usize>,
    /// Where the last hop to `k` begins.
    from: Vec<usize>,
    /// How many hops it takes.
    hops: Vec<usize>,
    /// When an address last came up.
    last: HashMap<usize, usize>,
    /// The places with fewer hops than each place after them, in order.
    best: Vec<usize>,
}

impl Route {
    /// Appends the next place. If the operation slept right before it, the only way there is the
    /// one step in which it slept.
    pub(crate) fn push(&mut self, address: usize, slept: bool) {
        let k = self.at.len();
        let before = self.last.insert(address, k);
        let first = before.map_or(0, |before| before + 1);
        let nth = self.best.partition_point(|&place| place < first);
        let step = k.saturating_sub(1);
        let from = self.best.get(nth).copied().filter(|_| !slept).unwrap_or(step);
        let hops = self.hops.get(from).map_or(0, |hops| hops + 1);
        while self.best.pop_if(|place| self.hops[*place] >= hops).is_some() {}
        self.best.push(k);
        self.at.push(address);
        self.from.push(from);
        self.hops.push(hops);
    }

    /// How many instructions the operation has.
    pub(crate) fn len(&self) -> usize {
        self.at.len() - 1
    }

    pub(crate) fn address(&self, k: usize) -> usize {
        self.at[k]
    }

    /// Whether `k` is another place than the one before it, and not only another round of an
    /// instruction that repeats itself; of many such rounds some.
    pub(crate) fn is_worth_a_try(&self, k: usize) -> bool {
        let repeats = k > 0 && self.at[k] == self.at[k - 1] && self.at[k] != UNKNOWN;
        !repeats || k.is_multiple_of(251)
    }

    /// The hops to `k`. One from a place to the next one is a step.
    pub(crate) fn to(&self, mut k: usize) -> Vec<(usize, usize)> {
        let mut hops = Vec::with_capacity(self.hops[k]);
        while k > 0 {
            hops.push((self.from[k], k));
            k = self.from[k];
        }
        hops.reverse();
        hops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(addresses: &[usize]) -> Route {
        let mut route = Route::default();
        addresses.iter().for_each(|&address| route.push(address, false));
        route
    }

    #[test]
    fn a_straight_way_is_one_hop() {
        let addresses: Vec<_> = (10..20).collect();
        assert_eq!(route(&addresses).to(9), [(0, 9)]);
        assert_eq!(route(&addresses).to(0), []);
    }

    #[test]
    fn each_round_of_a_loop_is_a_hop_and_what_comes_after_it_is_one() {
        let route = route(&[1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 5]);
        assert_eq!(route.to(7).len(), 3);
        assert_eq!(route.to(10), [(0, 10)]);
    }

    #[test]
    fn an_instruction_that_repeats_is_stepped_through() {
        assert_eq!(route(&[1, 2, 2, 2]).to(3), [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn hops_lead_where_the_recorded_run_went() {
        let addresses: Vec<usize> = (0..400).map(|n| n * n % 17 + n / 100).collect();
        let route = route(&addresses);
        for k in 0..addresses.len() {
            let mut at = 0;
            for (from, to) in route.to(k) {
                assert_eq!(from, at);
                let next = (from + 1..).find(|&n| addresses[n] == addresses[to]).unwrap();
                assert!(to == from + 1 || to == next, "{from} to {to}, not {next}");
                at = to;
            }
            assert_eq!(at, k);
        }
    }
}
