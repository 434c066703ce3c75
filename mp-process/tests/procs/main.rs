//! One table over the three start methods: what one does, all do.
//!
//! This binary has one thread, so that plain fork may be tested too.

use libtest_mimic::{Arguments, Trial};
use mp_process::StartMethod;

mod call;
mod death;
mod descriptors;
mod end;
mod handles;
mod identity;
mod leaks;
mod library;
mod odd;
mod programs;
mod quota;
mod reaped;
mod sequences;
mod server;
mod setup;
mod strangers;

/// How long anything in these tests may take that does not hang.
pub(crate) const SOON: std::time::Duration = std::time::Duration::from_secs(20);

pub(crate) const METHODS: [StartMethod; 3] =
    [StartMethod::Fork, StartMethod::Spawn, StartMethod::ForkServer];

/// A test that runs once for each method.
pub(crate) type Row = (&'static str, fn(StartMethod));

/// How often something is done that is done over and over: `MP_ROUNDS`, or so often.
pub(crate) fn rounds(default: u32) -> u32 {
    std::env::var("MP_ROUNDS").map_or(default, |text| text.parse().unwrap())
}

/// Figures for whoever reads along.
#[expect(clippy::print_stderr, reason = "a suite that takes long prints its figures")]
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
}

fn main() {
    programs::run();
    mp_process::init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let rows: Vec<Row> = [
        call::ROWS,
        death::ROWS,
        descriptors::ROWS,
        end::ROWS,
        handles::ROWS,
        identity::ROWS,
        leaks::ROWS,
        reaped::ROWS,
        setup::ROWS,
    ]
    .concat();
    let trials = rows.into_iter().flat_map(|(name, row)| {
        METHODS.map(|method| {
            Trial::test(format!("{name}::{method:?}"), move || {
                row(method);
                Ok(())
            })
        })
    });
    let others =
        [server::TRIALS, programs::TRIALS, odd::TRIALS, library::TRIALS, sequences::TRIALS]
            .into_iter()
            .flatten()
            .chain(strangers::TRIALS);
    let others = others.map(|(name, trial)| {
        Trial::test(*name, move || {
            trial();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.chain(others).collect()).exit();
}
