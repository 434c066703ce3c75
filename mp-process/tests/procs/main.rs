//! One table over the three start methods: what one does, all do.
//!
//! This binary has one thread, so that plain fork may be tested too.

use libtest_mimic::{Arguments, Trial};
use mp_process::StartMethod;

mod call;

pub(crate) const METHODS: [StartMethod; 3] =
    [StartMethod::Fork, StartMethod::Spawn, StartMethod::ForkServer];

/// A test that runs once for each method.
type Row = (&'static str, fn(StartMethod));

fn main() {
    mp_process::init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let rows: Vec<Row> = [call::ROWS].concat();
    let trials = rows.into_iter().flat_map(|(name, row)| {
        METHODS.map(|method| {
            Trial::test(format!("{name}::{method:?}"), move || {
                row(method);
                Ok(())
            })
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
