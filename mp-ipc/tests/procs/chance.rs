//! For the tests that are races: how long, and at which moment.

use std::time::Duration;

/// How long a race is run.
pub(crate) fn seconds() -> Duration {
    let seconds = std::env::var("MP_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(1.0))
}

pub(crate) fn random(below: u64) -> u64 {
    u64::from_ne_bytes(mp_sys::random::bytes().unwrap()) % below
}

/// Sleeps for less than this.
pub(crate) fn nap(micros: u64) {
    std::thread::sleep(Duration::from_micros(random(micros)));
}
