//! A scene made of a state and plain functions, so that an operation is a few lines.

use std::time::{Duration, Instant};

use mp_tests::step::Scene;

/// A survivor that waits longer than this is blocked.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// The deadline of a call that is expected to pass it.
pub(crate) const BRIEFLY: Duration = Duration::from_millis(3);

pub(crate) struct World<S> {
    pub(crate) state: S,
    pub(crate) act: fn(&S),
    /// What another participant does to wake the operation; may be called often.
    pub(crate) wake: fn(&S),
    pub(crate) check: fn(&S, bool) -> Result<(), String>,
    pub(crate) paused: fn(&S) -> Result<(), String>,
}

impl<S> World<S> {
    /// A world in which the operation never sleeps.
    pub(crate) fn new(
        state: S,
        act: fn(&S),
        check: fn(&S, bool) -> Result<(), String>,
        paused: fn(&S) -> Result<(), String>,
    ) -> Box<World<S>> {
        Box::new(World { state, act, wake: |_| (), check, paused })
    }
}

impl<S> Scene for World<S> {
    fn act(&self) {
        (self.act)(&self.state);
    }

    fn wake(&self) {
        (self.wake)(&self.state);
    }

    fn check(&self, finished: bool) -> Result<(), String> {
        (self.check)(&self.state, finished)
    }

    fn look_at_paused(&self) -> Result<(), String> {
        (self.paused)(&self.state)
    }
}

/// How late a call may be on a machine where others work, too.
pub(crate) const SLACK: Duration = Duration::from_millis(500);

/// Complains if `act` took longer than its deadline and [`SLACK`].
pub(crate) fn in_time<R>(deadline: Duration, act: impl FnOnce() -> R) -> Result<R, String> {
    let start = Instant::now();
    let result = act();
    let late = start.elapsed().saturating_sub(deadline);
    if late > SLACK {
        return Err(format!("{late:?} past its deadline of {deadline:?}"));
    }
    Ok(result)
}

/// Complains unless `holds`.
pub(crate) fn ensure(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(complaint()) }
}

/// Puts the name of what was tried before an error.
pub(crate) fn say<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}
