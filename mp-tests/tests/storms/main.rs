//! Random deaths across the rooms, the death of the process that has everything open, and strangers
//! among a family.
//!
//! `MP_RACE_SECONDS` says how long the storm lasts, `MP_SEED` repeats the order of its deaths, and
//! `MP_LONG=1` takes 500 parents. `docs/reliability.md` has the commands and the last figures.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod client;
mod hostile;
mod household;
mod ledger;
mod lengths;
mod orders;
mod orphans;
mod parties;
mod sides;
mod storm;

use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

/// Whoever waits longer than this is blocked.
pub(crate) const SOON: Duration = Duration::from_secs(2);

fn main() {
    mp_process::init();
    household::take_role();
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial("storm::deaths_across_the_rooms", storm::run),
        trial("storm::a_seed_repeats_its_orders", storm::repeats),
        trial("storm::broken_twins_are_seen", storm::control),
        trial("hostile::a_worker_that_writes_anything", hostile::run),
        trial("lengths::nothing_large_is_allocated_for_a_promise", lengths::run),
        trial("lengths::who_believes_it_is_seen", lengths::control),
        trial("orphans::a_dead_parent_leaves_nothing", orphans::run),
        trial("orphans::leaks_are_seen", orphans::control),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

/// Numbers that a seed repeats, and nothing more: xorshift.
pub(crate) struct Random(u64);

impl Random {
    /// From `MP_SEED`, or a fresh one, which is printed.
    pub(crate) fn new() -> Random {
        let seed = std::env::var("MP_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from_ne_bytes(mp_sys::random::bytes().unwrap()) | 1);
        println!("MP_SEED={seed}");
        Random(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    pub(crate) fn nap(&mut self, micros: u64) {
        std::thread::sleep(Duration::from_micros(self.below(micros)));
    }
}

/// How long `act` takes.
pub(crate) fn timed<R>(act: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = act();
    (result, start.elapsed())
}
