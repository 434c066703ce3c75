//! What mp-ipc promises between processes. No other thread runs here, so plain forks are fine.
#![expect(clippy::print_stdout, reason = "races say how often they were run")]

mod chance;
mod child;
mod connection;
mod handles;
mod leaks;
mod listener;
mod queue;
mod queue_kills;
mod queue_model;
mod signals;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    trials.extend(connection::trials());
    trials.extend(handles::trials());
    trials.extend(leaks::trials());
    trials.extend(listener::trials());
    trials.extend(queue::trials());
    trials.extend(queue_kills::trials());
    trials.extend(queue_model::trials());
    trials.extend(signals::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test by the name of its function.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
