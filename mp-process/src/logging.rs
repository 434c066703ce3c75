//! The `log` facade across processes.

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use serde::{Deserialize, Serialize};

/// What a child takes over of its parent's logging.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Logging {
    max_level: u8,
    to_stderr: bool,
}

static TO_STDERR: AtomicU8 = AtomicU8::new(0);

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line =
                format!("[{}/{}] {}\n", record.level(), crate::current().name(), record.args());
            // One write for each line, so that lines of several processes do not mix. A closed
            // stderr is nobody's error here.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// Sends what is logged through the `log` crate to stderr, as `[LEVEL/Process-1] message`, in this
/// process and in all that it starts from here on.
///
/// A program that has its own logger does not call this: then its children have the same
/// [`log::max_level`], and no logger until their function (or a [`preload`](crate::preload)
/// function) sets one; under fork they have the parent's. [`current`](crate::current) gives the
/// process name for its lines.
///
/// Python: `multiprocessing.log_to_stderr(level)`.
///
/// # Errors
///
/// If the program has set another logger already.
///
/// # Examples
///
/// ```
/// mp_process::log_to_stderr(log::LevelFilter::Info).unwrap();
/// log::info!("ready"); // [INFO/MainProcess] ready
/// ```
pub fn log_to_stderr(level: LevelFilter) -> Result<(), log::SetLoggerError> {
    // Relaxed: a flag that only this function writes.
    if TO_STDERR.load(Ordering::Relaxed) == 0 {
        log::set_logger(&Stderr)?;
        TO_STDERR.store(1, Ordering::Relaxed);
    }
    log::set_max_level(level);
    Ok(())
}

pub(crate) fn present() -> Logging {
    Logging { max_level: log::max_level() as u8, to_stderr: TO_STDERR.load(Ordering::Relaxed) == 1 }
}

/// In a child: logs as the parent does.
pub(crate) fn adopt(logging: Logging) {
    let level = LevelFilter::iter().find(|level| *level as u8 == logging.max_level);
    let level = level.unwrap_or(LevelFilter::Off);
    log::set_max_level(level);
    if logging.to_stderr {
        // A logger that `preload` has set is kept.
        let _ = log_to_stderr(level);
    }
}
