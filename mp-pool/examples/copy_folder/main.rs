//! Copies a directory tree with a pool of worker processes.
//!
//! `cargo run --release -p mp-pool --example copy_folder -- [--workers N] SRC DST`
//!
//! Contents, modes, times, owners (for root), links, holes and extended attributes are kept, as
//! `cp -a` keeps them. A file bears its name only once it is whole. What cannot be copied is
//! named, the rest is copied, and the exit status is 1.

mod arguments;
mod contents;
mod copy;
mod dispatch;
mod draft;
mod interrupt;
mod job;
mod large;
mod metadata;
mod plan;
mod progress;
mod report;
#[cfg(test)]
mod tests;
mod tree;
mod worker;

use std::cell::RefCell;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::{fs, iter, thread};

use mp_ipc::Queue;
use mp_pool::Pool;

use crate::arguments::Arguments;
use crate::dispatch::Dispatch;
use crate::interrupt::{Interrupt, Signals};
use crate::job::{Order, Tick};
use crate::plan::{Totals, walk};
use crate::progress::Progress;
use crate::report::Report;
use crate::tree::Roots;

/// How often an order is given out whose worker is killed at it.
const ROUNDS: usize = 3;
/// Orders on their way to each worker, beside the one that it is at.
const AHEAD: usize = 4;

fn main() -> ExitCode {
    mp_process::init();
    let copied = Arguments::parse(std::env::args_os().skip(1)).and_then(run);
    copied.unwrap_or_else(|message| {
        report::complain(message);
        ExitCode::from(2)
    })
}

fn run(arguments: Arguments) -> Result<ExitCode, String> {
    let signals = Signals::hold().map_err(|error| format!("signals: {error}"))?;
    let roots = Roots::new(arguments.from, arguments.to.clone());
    let ticks = Queue::new(1024).map_err(|error| format!("the progress queue: {error}"))?;
    let pool = Pool::builder()
        .workers(arguments.workers)
        .initializer(worker::prepare, (roots.clone(), ticks.clone()))
        .start()
        .map_err(|error| format!("the workers: {error}"))?;
    fs::create_dir(&arguments.to)
        .map_err(|error| format!("{}: {error}", arguments.to.display()))?;
    let pool = Arc::new(pool);
    let copy = Copy { interrupt: signals.end(&pool), pool, roots, ticks };
    Ok(copy.run())
}

/// One copy of a folder, from the first file to the summary.
struct Copy {
    pool: Arc<Pool>,
    interrupt: Arc<Interrupt>,
    roots: Roots,
    ticks: Queue<Tick>,
}

impl Copy {
    fn run(&self) -> ExitCode {
        let totals = Totals::default();
        let progress = Progress::new(&totals);
        let mut report = Report::new(progress.bar());
        let dispatch = RefCell::new(Dispatch::new(&self.roots));
        let (sender, steps) = mpsc::channel();
        thread::scope(|threads| {
            let walker = threads.spawn(|| walk(&self.roots, &totals, sender));
            threads.spawn(|| progress.follow(&self.ticks));

            let next = || dispatch.borrow_mut().order(&steps);
            self.round(&dispatch, iter::from_fn(next), &mut report);
            for _ in 1..ROUNDS {
                let again = dispatch.borrow_mut().unanswered();
                self.round(&dispatch, again, &mut report);
            }
            totals.given_up.store(self.interrupt.signal().is_some(), Relaxed);
            let mut dispatch = dispatch.borrow_mut();
            match self.interrupt.signal() {
                Some(_) => {
                    // The workers are gone when this returns.
                    let _ = self.pool.join();
                    dispatch.give_up(None);
                }
                None => {
                    while dispatch.order(&steps).is_some() {
                        // Only a pool that cannot go on leaves any.
                    }
                    dispatch.give_up(Some("not copied: its worker was killed time and again"));
                }
            }
            self.ticks.close();
            let rest = walker.join().expect("the walk does not panic");
            report.troubles(dispatch.troubles.drain(..));
            match rest {
                _ if self.interrupt.signal().is_some() => {}
                Ok(rest) => {
                    let links = rest.finish(&self.roots, |trouble| report.troubles([trouble]));
                    dispatch.tally.files += links;
                }
                Err(trouble) => report.troubles([trouble]),
            }
        });
        report.end(&dispatch.borrow().tally, self.interrupt.signal())
    }

    /// Has the workers carry `orders` out; what is not answered stays with `dispatch`.
    fn round(
        &self,
        dispatch: &RefCell<Dispatch<'_>>,
        orders: impl IntoIterator<Item = Order>,
        report: &mut Report,
    ) {
        let window = self.pool.workers() * AHEAD;
        let pool = self.pool.with().chunk(1).window(window);
        for answer in pool.imap_unordered(worker::carry_out, orders) {
            match answer {
                Ok(done) => {
                    let tick = dispatch.borrow_mut().done(done);
                    if let Some(tick) = tick {
                        let _ = self.ticks.try_put(tick);
                    }
                }
                Err(_) if self.interrupt.signal().is_some() => {}
                Err(error) => report.note(format_args!("{error}; what it did is done again")),
            }
            report.troubles(dispatch.borrow_mut().troubles.drain(..));
        }
    }
}
