//! What the manager promises to processes: that live, that die, that come from elsewhere.
#![expect(clippy::print_stdout, reason = "races say how often they were run")]

use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

mod barriers;
mod bytes;
mod conditions;
mod crew;
mod death;
mod kill;
mod lifetime;
mod locks;
mod queues;
mod remote;
mod server;
mod slow;

use crew::Mode;

/// A row of the table, for parties of each kind.
type Body = (&'static str, fn(Mode));

fn main() {
    mp_process::init();
    let mut arguments = Arguments::from_args();
    // One thread, so that a plain fork is allowed.
    arguments.test_threads = Some(1);
    let table = [locks::BODIES, conditions::BODIES, barriers::BODIES, queues::BODIES].concat();
    let trials = [
        rows("table", &table, &Mode::ALL),
        rows("death", death::BODIES, &Mode::PROCESSES),
        lifetime::trials(),
        server::trials(),
        slow::trials(),
        remote::trials(),
        bytes::trials(),
        kill::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}

fn rows(table: &str, bodies: &[Body], modes: &[Mode]) -> Vec<Trial> {
    let rows = bodies.iter().flat_map(|&body| modes.iter().map(move |&mode| (body, mode)));
    rows.map(|((name, body), mode)| {
        let name = format!("{table}::{name}_{mode:?}").to_lowercase();
        Trial::test(name, move || {
            body(mode);
            Ok(())
        })
    })
    .collect()
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
