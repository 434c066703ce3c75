//! Behaviour between processes, and under their deaths. One thread runs it all, so it may fork.

mod barriers;
mod condvars;
mod crew;
mod deaths;
mod locks;
mod parts;
mod properties;
mod races;
mod semaphores;
mod twins;
mod waiters;

use crew::Mode;
use libtest_mimic::{Arguments, Trial};

type Body = (&'static str, fn(Mode));

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let shared = [locks::BODIES, semaphores::BODIES, condvars::BODIES, barriers::BODIES].concat();
    let mut trials = Vec::new();
    for (name, body) in shared {
        for mode in [Mode::Threads, Mode::Processes] {
            let name = format!("{name}_{mode:?}").to_lowercase();
            trials.push(Trial::test(name, move || {
                body(mode);
                Ok(())
            }));
        }
    }
    for (name, body) in
        [deaths::TESTS, parts::TESTS, properties::TESTS, waiters::TESTS, races::TESTS, twins::TESTS]
            .concat()
    {
        trials.push(Trial::test(name, move || {
            body();
            Ok(())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
