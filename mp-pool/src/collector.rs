//! The pool's one thread: it watches over the workers, and collects when nobody else does.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mp_sys::Deadline;
use mp_sys::poll::{Interest, poll};

use crate::core::{Core, Phase};
use crate::hand::Hand;
use crate::inner::Inner;

/// How long it takes until a worker that could not be started is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// Runs until the pool has ended and the last worker is gone.
///
/// It sleeps in one `poll`, on the doorbell and on every worker's end. In an idle pool it has no
/// tick.
pub(crate) fn run(inner: &Arc<Inner>) {
    let mut epoch = 0;
    let (mut seen, mut delivered) = (0, 0);
    let mut hands: Vec<(usize, Arc<Hand>)> = Vec::new();
    loop {
        let look_in = inner.collect(&mut seen);
        let retry = inner.hire(false).err().map(|error| {
            inner.with(|core| core.stillbirth(error.to_string()));
            Deadline::after(RETRY)
        });
        let (alarm, over) = inner.with(|core| {
            core.tend();
            if core.epoch != epoch {
                epoch = core.epoch;
                let hand = |(slot, worker): (usize, &crate::core::Worker)| {
                    (slot, Arc::clone(&worker.hand))
                };
                hands = core.workers().map(hand).collect();
            }
            (core.set_alarm(), core.is_over())
        });
        // A caller may be asleep on a result that a clock has decided, and not a worker.
        inner.ring_if_delivered(&mut delivered);
        if over {
            let core = inner.core.lock();
            inner.over.store(true, Ordering::Release);
            inner.gone.notify_all();
            drop(core);
            return;
        }
        if retry.is_none() && inner.with(|core| core.wants_hands()) {
            continue;
        }
        let clocks = [alarm, look_in, retry];
        watch(inner, &hands, clocks.into_iter().flatten().min());
    }
}

/// Sleeps until something happens, and buries the dead.
fn watch(inner: &Inner, hands: &[(usize, Arc<Hand>)], alarm: Option<Deadline>) {
    let mut fds = vec![(inner.ear.fd(), Interest::Readable)];
    fds.extend(hands.iter().map(|(_, hand)| (hand.as_fd(), Interest::Readable)));
    let Ok(ready) = poll(&fds, alarm) else {
        // No memory for a moment; or more workers than descriptors, which starting them reports.
        std::thread::yield_now();
        return;
    };
    for ((slot, hand), ended) in hands.iter().zip(&ready[1..]) {
        if *ended {
            let status = hand.status();
            inner.with(|core| core.died(*slot, hand, status));
        }
    }
}

impl Core {
    /// A worker has been found dead; unless it has been seen to already.
    fn died(&mut self, slot: usize, hand: &Arc<Hand>, status: mp_process::ExitStatus) {
        let current = self.slots[slot].worker.as_ref();
        if current.is_some_and(|worker| Arc::ptr_eq(&worker.hand, hand)) {
            self.bury(slot, status);
        }
    }

    /// Whether nothing is left to do for ever.
    fn is_over(&self) -> bool {
        self.phase == Phase::Ended
            && self.slots.iter().all(|slot| slot.worker.is_none() && !slot.hiring)
    }
}
