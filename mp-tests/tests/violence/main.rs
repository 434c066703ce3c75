//! Death at every instruction: each operation is done by a child that is killed, or paused, after
//! exactly `k` instructions, and a survivor checks what is left.
//!
//! By default a sample of the `k`s is tried; `MP_LONG=1` tries every one, and `MP_SEED` repeats a
//! sample. `docs/reliability.md` has the commands and the last figures.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod controls;
mod locks;
mod memory;
mod queues;
mod waits;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use mp_tests::step::{Choice, Fate, Report, Scene, run};

/// How long a sample of one operation takes.
const BUDGET: Duration = Duration::from_millis(500);

/// An operation in a small world.
#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
    build: fn() -> Box<dyn Scene>,
    /// The fate at which the harness must find it broken: then it is a control of the harness.
    control: Option<Fate>,
}

impl Operation {
    const fn new(name: &'static str, build: fn() -> Box<dyn Scene>) -> Operation {
        Operation { name, build, control: None }
    }

    const fn control(name: &'static str, fate: Fate, build: fn() -> Box<dyn Scene>) -> Operation {
        Operation { name, build, control: Some(fate) }
    }
}

fn main() -> ExitCode {
    let seed = std::env::var("MP_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let long = std::env::var_os("MP_LONG").is_some();
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    println!("seed {seed}; {}", if long { "every instruction" } else { "a sample" });
    println!("operation\tfate\tinstructions\ttried\tasleep\tbroken\tseconds");
    let (mut passed, mut failed) = (0, 0);
    let operations = [
        locks::OPERATIONS,
        waits::OPERATIONS,
        queues::OPERATIONS,
        memory::OPERATIONS,
        controls::OPERATIONS,
    ]
    .concat();
    for operation in operations.iter().filter(|operation| operation.name.contains(&filter)) {
        for fate in [Fate::Death, Fate::Pause] {
            if operation.control.is_some_and(|control| control != fate) {
                continue;
            }
            // The controls are short, and go wrong at a few places only.
            let all = long || operation.control.is_some();
            let choice = if all { Choice::All } else { Choice::Sample(BUDGET, seed) };
            let start = Instant::now();
            let report = run(&operation.build, fate, choice);
            let Report { instructions, tried, asleep, broken } = &report;
            let (name, seconds) = (operation.name, start.elapsed().as_secs_f32());
            let count = broken.len();
            println!("{name}\t{fate:?}\t{instructions}\t{tried}\t{asleep}\t{count}\t{seconds:.1}");
            if broken.is_empty() == operation.control.is_some() {
                failed += 1;
                let examples = broken.iter().take(5);
                examples.for_each(|(k, complaint)| println!("    at {k}: {complaint}"));
            } else {
                passed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
