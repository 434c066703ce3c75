//! The bar: bytes, files, rate and time left; plain lines where nobody looks at a terminal.

use std::collections::HashMap;
use std::io::{IsTerminal, Write, stdout};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle,
};

use mp_ipc::{Error, Queue};

use crate::copy::Tally;
use crate::job::Tick;
use crate::plan::Totals;

const LOOK: &str = "{wide_bar} {bytes}/{total_bytes} {msg} {bytes_per_sec} {eta} left";
const SHOW_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows how far the copy is.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    totals: &'a Totals,
    orders: HashMap<u64, Tally>,
    done: Tally,
    bar: Option<ProgressBar>,
    start: Instant,
    last_line: Instant,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(totals: &'a Totals) -> Progress<'a> {
        let bar = stdout().is_terminal().then(|| {
            let style = ProgressStyle::with_template(LOOK).expect("the template is right");
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stdout()).with_style(style)
        });
        let (orders, start) = (HashMap::new(), Instant::now());
        Progress { totals, orders, done: Tally::default(), bar, start, last_line: start }
    }

    /// The bar, where there is one.
    pub(crate) fn bar(&self) -> Option<ProgressBar> {
        self.bar.clone()
    }

    /// Shows what the workers tell, until `ticks` is closed.
    pub(crate) fn follow(mut self, ticks: &Queue<Tick>) {
        let mut shown = Instant::now();
        loop {
            match ticks.get_timeout(SHOW_EVERY) {
                Ok(tick) => self.take_in(tick),
                Err(Error::TimedOut) => {}
                Err(_) => break,
            }
            if shown.elapsed() >= SHOW_EVERY {
                shown = Instant::now();
                self.show();
            }
        }
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// A worker is this far with an order.
    fn take_in(&mut self, Tick { id, tally }: Tick) {
        let before = self.orders.insert(id, tally).unwrap_or_default();
        self.done.files = self.done.files + tally.files - before.files;
        self.done.bytes = self.done.bytes + tally.bytes - before.bytes;
    }

    /// Draws the bar, or once a second a line.
    fn show(&mut self) {
        let files = self.totals.files.load(Relaxed);
        let bytes = self.totals.bytes.load(Relaxed);
        let counting = if self.totals.complete.load(Relaxed) { "" } else { "+" };
        let count =
            format!("{}/{}{counting} files", HumanCount(self.done.files), HumanCount(files));
        if let Some(bar) = &self.bar {
            bar.set_length(bytes);
            bar.set_position(self.done.bytes);
            bar.set_message(count);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let rate = self.done.bytes as f64 / self.start.elapsed().as_secs_f64();
            let left = bytes.saturating_sub(self.done.bytes) as f64 / rate.max(1.0);
            // Where nobody reads the lines any more, the copy goes on.
            let _ = writeln!(
                stdout(),
                "{}/{}{counting}, {count}, {}/s, {} left",
                HumanBytes(self.done.bytes),
                HumanBytes(bytes),
                HumanBytes(rate as u64),
                HumanDuration(Duration::from_secs(left as u64)),
            );
        }
    }
}
