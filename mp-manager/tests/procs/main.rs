//! What the manager promises to processes: that live, that die, that come from elsewhere.
#![expect(clippy::print_stdout, reason = "races say how often they were run")]

use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

mod bytes;
mod death;
mod kill;
mod lifetime;
mod remote;

fn main() {
    mp_process::init();
    let mut arguments = Arguments::from_args();
    // One thread, so that a plain fork is allowed.
    arguments.test_threads = Some(1);
    let trials =
        [lifetime::trials(), death::trials(), remote::trials(), bytes::trials(), kill::trials()];
    libtest_mimic::run(&arguments, trials.concat_trials()).exit();
}

trait Concat {
    fn concat_trials(self) -> Vec<Trial>;
}

impl<const N: usize> Concat for [Vec<Trial>; N] {
    fn concat_trials(self) -> Vec<Trial> {
        self.into_iter().flatten().collect()
    }
}

/// A test by its path.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok::<(), Failed>(())
    })
}

/// Asks until it is so; how long that took.
fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "{what}: not after {limit:?}");
        std::thread::yield_now();
    }
    start.elapsed()
}
