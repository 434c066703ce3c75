//! Death at every instruction: each operation is done by a child that is killed, or paused, after
//! exactly `k` instructions, and a survivor checks what is left.
//!
//! By default a sample of the `k`s is tried, and `MP_SEED` repeats it; `MP_LONG=1` tries every one,
//! and `MP_LONG=2/5` every fifth from the second on. `docs/reliability.md` has the commands and the last figures.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod controls;
mod gets;
mod lanes;
mod locks;
mod memory;
mod queues;
mod waits;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use mp_tests::step::{Choice, Fate, Recording, Report, Scene};

/// How long a sample of one operation takes.
const BUDGET: Duration = Duration::from_millis(250);

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

    /// Tries it with both fates, and prints a line for each. A control must be found broken.
    fn disturb(&self, choice: Choice) -> Result<(), String> {
        let mut recording = Recording::new(self.build)?;
        for fate in [Fate::Death, Fate::Pause] {
            if self.control.is_some_and(|control| control != fate) {
                continue;
            }
            let start = Instant::now();
            let Report { tried, asleep, recorded, stepped, late, blocked, complaints } =
                recording.run(fate, choice);
            let (instructions, broken) = (recording.instructions(), complaints.len() - blocked);
            println!(
                "{} | {fate:?} | {instructions} | {tried} | {asleep} | {recorded} | {stepped} | \
                 {late} | {blocked} | {broken} | {:.1}",
                self.name,
                start.elapsed().as_secs_f32(),
            );
            match (self.control, &complaints[..]) {
                (Some(_), []) => return Err("it was not seen to be broken".to_owned()),
                (None, [(k, complaint), ..]) => return Err(format!("at {k}: {complaint}")),
                (Some(_), [_, ..]) | (None, []) => {}
            }
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let seed = std::env::var("MP_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let part = part();
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    match part {
        Some((part, of)) => println!("every instruction, part {part} of {of}"),
        None => println!("a sample with MP_SEED={seed}"),
    }
    let operations = [
        locks::OPERATIONS,
        waits::OPERATIONS,
        queues::OPERATIONS,
        gets::OPERATIONS,
        lanes::OPERATIONS,
        memory::OPERATIONS,
        controls::OPERATIONS,
    ];
    println!(
        "operation | fate | instructions | tried | asleep | ways recorded | stepped | late | \
         blocked | broken | s"
    );
    let (mut passed, mut failed, start) = (0, 0, Instant::now());
    for operation in operations.concat().iter().filter(|one| one.name.contains(&filter)) {
        // The controls are short, and go wrong at a few places only.
        let part = if operation.control.is_some() { Some((0, 1)) } else { part };
        let choice = match part {
            Some((part, of)) => Choice::Part { part, of },
            None => Choice::Sample(BUDGET, seed),
        };
        match operation.disturb(choice) {
            Ok(()) => passed += 1,
            Err(complaint) => {
                println!("    {complaint}");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, in {:.1?}", start.elapsed());
    ExitCode::from(u8::from(failed > 0))
}

/// Which part of all instructions is wanted, and of how many, if not a sample.
fn part() -> Option<(usize, usize)> {
    let text = std::env::var("MP_LONG").ok()?;
    let parts = text
        .split_once('/')
        .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok().filter(|of| *of > 0)?)));
    Some(parts.unwrap_or((0, 1)))
}
