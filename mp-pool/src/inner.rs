//! What the handles of a pool share, and how they wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mp_sys::Deadline;
use parking_lot::{Condvar, Mutex};

use crate::batch::{Batch, Effect, Mail};
use crate::bell::{Bell, Ear};
use crate::callbacks::Callbacks;
use crate::core::{Core, Phase};
use crate::hand::Hand;
use crate::linger::{linger, slept};
use crate::settings::Settings;
use crate::work::Work;
use crate::{Error, TaskError};

/// How often the collector looks in while callers do its work.
const LOOK_IN: Duration = Duration::from_millis(1);

/// Lock order: `leader`, then `core`, then a batch's mail. Effects happen outside of all three.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) core: Mutex<Core>,
    /// Whoever holds this answers the bell.
    leader: Mutex<()>,
    /// How many callers wait while another one answers the bell.
    followers: AtomicUsize,
    /// How often a caller has answered the bell.
    visits: AtomicU64,
    /// Callers come and go so often that the bell rests between their visits, and the collector
    /// looks in now and then instead.
    busy: AtomicBool,
    pub(crate) ear: Ear,
    pub(crate) bell: Bell,
    pub(crate) settings: Settings,
    pub(crate) callbacks: Callbacks,
    /// Told when workers have gone.
    pub(crate) gone: Condvar,
    /// The collector is about to end.
    pub(crate) over: AtomicBool,
    pub(crate) collector: Mutex<Option<JoinHandle<()>>>,
    /// The process that made the pool: a copy made by `fork` leaves it alone.
    pub(crate) creator: u32,
}

impl Inner {
    pub(crate) fn new(core: Core, ear: Ear, bell: Bell, settings: Settings) -> Inner {
        Inner {
            core: Mutex::new(core),
            leader: Mutex::new(()),
            followers: AtomicUsize::new(0),
            visits: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            ear,
            bell,
            settings,
            callbacks: Callbacks::new(),
            gone: Condvar::new(),
            over: AtomicBool::new(false),
            collector: Mutex::new(None),
            creator: std::process::id(),
        }
    }

    /// Does something to the core, and then what follows from it.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Core) -> R) -> R {
        let mut core = self.core.lock();
        let result = act(&mut core);
        core.post();
        let effects = std::mem::take(&mut core.effects);
        let wanted = core.has_clocks() && core.is_early() || core.is_newly_done();
        drop(core);
        if wanted {
            self.bell.knock();
        }
        self.happen(effects);
        result
    }

    /// Lets effects happen. No lock is held.
    pub(crate) fn happen(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Wake(waker) => waker.wake(),
                Effect::Call(call) => self.callbacks.run(call),
            }
        }
    }

    /// Has an effect happen when the batch is complete, or at once if it is.
    pub(crate) fn watch(&self, batch: &Batch, effect: Effect) {
        if let Some(effect) = batch.watch(effect) {
            self.happen(vec![effect]);
        }
    }

    /// Hands in tasks of one batch: all, or none.
    pub(crate) fn submit(&self, tasks: &mut Vec<Work>) -> Result<(), TaskError> {
        let Some(admitted) = tasks.first().map(|work| work.batch.admitted) else { return Ok(()) };
        self.with(|core| match (core.phase, &core.broken) {
            (_, Some(reason)) => Err(TaskError::Broken(reason.clone())),
            (Phase::Open, None) => {
                core.submit(tasks.drain(..));
                if core.wants_hands() {
                    self.bell.knock();
                }
                Ok(())
            }
            (Phase::Closed, None) if admitted && core.admits => {
                core.submit(tasks.drain(..));
                Ok(())
            }
            _ if admitted => Err(TaskError::Cancelled),
            _ => Err(TaskError::Closed),
        })
    }

    /// Waits until `wanted` holds of the batch; `false` when the deadline passed first.
    ///
    /// Whoever waits first answers the bell for everybody: so a result goes from the worker
    /// straight to the thread that waits for it. The others are told by that one, or by the
    /// collector.
    ///
    /// A caller with `patience` would rather have many results at once than each as it comes, and
    /// waits so long for that while its workers have something to do.
    pub(crate) fn wait(
        &self,
        batch: &Batch,
        wanted: impl Fn(&Mail) -> bool,
        deadline: Option<Deadline>,
        mut patience: Option<Duration>,
    ) -> bool {
        if batch.look(|mail| wanted(mail)) {
            return true;
        }
        self.followers.fetch_add(1, Ordering::SeqCst);
        let leader = self.leader.try_lock();
        if leader.is_none() {
            let came = batch.wait(wanted, deadline);
            self.followers.fetch_sub(1, Ordering::SeqCst);
            return came;
        }
        self.followers.fetch_sub(1, Ordering::SeqCst);
        let came = loop {
            self.with(Core::pump);
            if batch.look(|mail| wanted(mail)) {
                break true;
            }
            if deadline.is_some_and(Deadline::has_passed) {
                break false;
            }
            // A result may also come from the collector, which has seen a worker die.
            let has_come = || self.has_news() || batch.look(|mail| wanted(mail));
            let patience = patience.take().filter(|_| self.followers.load(Ordering::SeqCst) == 0);
            let Some(patience) = patience else {
                if !linger(deadline, has_come) {
                    self.ear.arm_word();
                    self.sleep(deadline, has_come);
                }
                continue;
            };
            self.core.lock().mark();
            if !linger(deadline, || self.core.lock().has_enough()) {
                self.ear.arm_patiently();
                self.sleep(Some(Deadline::after(patience).or_earlier(deadline)), has_come);
            }
        };
        // SeqCst: pairs with `collect`: either we see that the bell must not rest, or the collector
        // sees that we were here.
        self.visits.fetch_add(1, Ordering::SeqCst);
        if !self.busy.load(Ordering::SeqCst) || self.followers.load(Ordering::SeqCst) > 0 {
            self.ear.arm_wire();
            if self.has_news() {
                self.bell.ring();
            }
        }
        drop(leader);
        came
    }

    /// Sleeps until the bell rings, unless what it is to ring for `has_come`.
    fn sleep(&self, until: Option<Deadline>, has_come: impl Fn() -> bool) {
        if !has_come() {
            let begin = Deadline::now();
            self.ear.sleep(until);
            slept(begin);
        }
    }

    fn has_news(&self) -> bool {
        self.core.lock().has_news()
    }

    /// The collector's turn: it takes in what has come, and says when it will look again even if
    /// the bell does not ring.
    ///
    /// While callers keep answering the bell themselves, every reply that comes between two of
    /// their visits would wake the collector for nothing. So it lets the bell rest and looks in
    /// every [`LOOK_IN`], until a look finds that nobody has come since the last one.
    pub(crate) fn collect(&self, seen: &mut u64) -> Option<Deadline> {
        self.ear.clear();
        let visits = self.visits.load(Ordering::SeqCst);
        let mut busy = visits != std::mem::replace(seen, visits);
        self.busy.store(busy, Ordering::SeqCst);
        match self.leader.try_lock() {
            Some(_leader) if !busy => self.ear.arm_wire(),
            Some(_leader) => {}
            // That caller arms the bell when it goes, unless it was about to go already.
            None => busy |= self.visits.load(Ordering::SeqCst) != visits,
        }
        self.with(Core::pump);
        busy.then(|| Deadline::after(LOOK_IN))
    }

    /// Wakes a caller that answers the bell, if anything has been delivered since the last time.
    pub(crate) fn ring_if_delivered(&self, before: &mut u64) {
        let delivered = self.core.lock().delivered;
        if delivered != std::mem::replace(before, delivered) {
            self.bell.ring();
        }
    }

    /// Starts a worker for each slot that wants one. Not under the lock: it may take a while.
    ///
    /// `first` says that these are the pool's first workers.
    pub(crate) fn hire(&self, first: bool) -> Result<(), Error> {
        loop {
            let Some(slot) = self.with(Core::vacancy) else { return Ok(()) };
            match Hand::start(&self.settings, slot, &self.bell, first) {
                Ok((hand, end)) => {
                    let quota = self.settings.tasks_per_worker;
                    self.with(|core| core.install(slot, hand, end, quota));
                }
                Err(error) => {
                    self.with(|core| core.slots[slot].hiring = false);
                    return Err(error);
                }
            }
        }
    }

    /// Ends everything; workers that are not gone after `grace` are killed.
    pub(crate) fn end(&self, grace: Duration) {
        self.with(|core| {
            if core.phase < Phase::Ended || grace.is_zero() {
                core.end(TaskError::Cancelled, grace);
            }
        });
        self.bell.knock();
        self.bell.ring();
    }

    /// Waits until every worker is gone; `false` when the deadline passed first.
    pub(crate) fn wait_gone(&self, deadline: Option<Deadline>) -> bool {
        let mut core = self.core.lock();
        while !self.over.load(Ordering::Acquire) {
            match deadline {
                None => self.gone.wait(&mut core),
                Some(deadline) if deadline.has_passed() => return false,
                Some(deadline) => {
                    self.gone.wait_for(&mut core, deadline.remaining());
                }
            }
        }
        drop(core);
        let collector = self.collector.lock().take();
        if let Some(collector) = collector
            && collector.thread().id() != std::thread::current().id()
        {
            let _ = collector.join();
        }
        true
    }

    pub(crate) fn abandon(&self, batch: &Arc<Batch>) {
        self.with(|core| core.abandon(batch));
    }
}

/// A call that sends its tasks bit by bit: a pool that is closed meanwhile waits for it.
pub(crate) struct Admission<'p>(&'p Inner);

impl Admission<'_> {
    pub(crate) fn new(pool: &Inner) -> Result<Admission<'_>, Error> {
        let mut core = pool.core.lock();
        core.check_open()?;
        core.admitted += 1;
        Ok(Admission(pool))
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.0.with(|core| core.admitted -= 1);
    }
}
