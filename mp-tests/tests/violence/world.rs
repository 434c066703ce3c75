//! A scene made of a state and plain functions, so that an operation is a few lines.

use std::cell::Cell;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::time::{Duration, Instant};

use mp_tests::Bystander;
use mp_tests::step::Scene;

/// A survivor that waits longer than this is blocked.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// The deadline of a call that is expected to pass it.
pub(crate) const BRIEFLY: Duration = Duration::from_millis(1);

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

/// A world in which another participant has what the operation wants, until it is woken.
pub(crate) struct Contended<L: 'static, G> {
    lock: &'static L,
    held: Cell<Option<G>>,
    act: fn(&L),
    check: fn(&L) -> Result<(), String>,
    look: fn(&L) -> Result<(), String>,
}

impl<L, G> Contended<L, G> {
    pub(crate) fn new(
        lock: L,
        hold: fn(&'static L) -> G,
        act: fn(&L),
        check: fn(&L) -> Result<(), String>,
        look: fn(&L) -> Result<(), String>,
    ) -> Box<Contended<L, G>> {
        let lock: &'static L = Box::leak(Box::new(lock));
        Box::new(Contended { lock, held: Cell::new(Some(hold(lock))), act, check, look })
    }
}

impl<L, G> Scene for Contended<L, G> {
    fn act(&self) {
        (self.act)(self.lock);
    }

    fn wake(&self) {
        drop(self.held.take());
    }

    fn check(&self, _finished: bool) -> Result<(), String> {
        self.wake();
        (self.check)(self.lock)
    }

    fn look_at_paused(&self) -> Result<(), String> {
        (self.look)(self.lock)?;
        self.wake();
        (self.look)(self.lock)
    }
}

/// A world in which another process sleeps that the operation is to wake.
pub(crate) struct Waking<S> {
    state: S,
    gate: (PipeReader, PipeWriter),
    sleeper: Cell<Option<Bystander>>,
    act: fn(&S, &Gate<'_>),
    sleep: fn(&S),
    rest: fn(&S),
    check: fn(&S) -> Result<(), String>,
}

/// Where the operation waits until the other one sleeps.
pub(crate) struct Gate<'a>(&'a PipeReader);

impl Gate<'_> {
    pub(crate) fn pass(&self) {
        let mut gate = self.0;
        gate.read_exact(&mut [0]).unwrap();
    }
}

impl<S> Waking<S> {
    /// `act` passes the gate when the other one may fall asleep, in `sleep`. If it dies, survivors
    /// do the `rest`: what it had not done for all to see. Then the other one must come to its
    /// end, and the world be as it should.
    pub(crate) fn new(
        state: S,
        act: fn(&S, &Gate<'_>),
        sleep: fn(&S),
        rest: fn(&S),
        check: fn(&S) -> Result<(), String>,
    ) -> Box<Waking<S>> {
        let (gate, sleeper) = (pipe().unwrap(), Cell::new(None));
        Box::new(Waking { state, gate, sleeper, act, sleep, rest, check })
    }
}

impl<S> Scene for Waking<S> {
    fn act(&self) {
        (self.act)(&self.state, &Gate(&self.gate.0));
    }

    fn wake(&self) {
        let sleeper = self.sleeper.take().unwrap_or_else(|| {
            let sleeper = Bystander::start(|| (self.sleep)(&self.state));
            (&self.gate.1).write_all(&[0]).unwrap();
            sleeper
        });
        self.sleeper.set(Some(sleeper));
    }

    fn check(&self, _finished: bool) -> Result<(), String> {
        in_time(SOON, || (self.rest)(&self.state))?;
        self.sleeper.take().map_or(Ok(()), |sleeper| sleeper.join(SOON))?;
        (self.check)(&self.state)
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
