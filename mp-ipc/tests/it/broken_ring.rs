//! A queue whose memory another process has scribbled over: every call still ends, with an error
//! or with something to decode.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use mp_ipc::{Error, Fd, Queue};
use proptest::prelude::*;

use crate::scribble::{HEADER, RING, SOON, Step, WORDS, memory, run};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = prop_oneof![
        1 => (0..8_u64).prop_map(|word| word * 8),
        8 => prop::sample::select(&WORDS).prop_map(|at| HEADER + at),
        1 => (0..255_u64).prop_map(|owner| HEADER + 320 + owner * 8),
        4 => (0..40_u64).prop_map(|unit| RING + unit * 8),
        1 => (0..512_u64).prop_map(|unit| RING + unit * 8),
    ];
    // Two halves: items and units of a position, two flags, the state and the length of a record.
    let half = || {
        prop_oneof![
            4 => 0..16_u32,
            2 => 0..600_u32,
            2 => (0..32_u32, 0..3_u32).prop_map(|(state, owner)| state | owner << 8),
            1 => Just(u32::MAX),
            1 => any::<u32>(),
        ]
    };
    let value = (half(), half()).prop_map(|(high, low)| u64::from(high) << 32 | u64::from(low));
    let step = prop_oneof![
        6 => (prop_oneof![4 => 0..100_usize, 1 => 900..5_000_usize], prop::bool::weighted(0.2))
            .prop_map(|(len, handle)| Step::Put(len, handle)),
        3 => Just(Step::Get),
        2 => Just(Step::Wait),
        3 => Just(Step::Lease),
        2 => Just(Step::Ack),
        2 => Just(Step::GiveBack),
        1 => Just(Step::Drain),
        1 => Just(Step::Attach),
        1 => Just(Step::Join),
        6 => (place, value).prop_map(|(place, value)| Step::Scribble(place, value)),
    ];
    prop::collection::vec(step, 1..60)
}

/// Runs `act` on a thread of its own, which is given up if it does not end.
pub(crate) fn ends(act: impl FnOnce() + Send + 'static) -> bool {
    let (done, ended) = mpsc::channel::<()>();
    let runner = thread::spawn(move || {
        act();
        drop(done);
    });
    let hangs = ended.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout);
    !hangs && runner.join().is_ok()
}

proptest! {
    #[test]
    fn no_call_panics_or_hangs(steps in steps()) {
        let all = steps.clone();
        prop_assert!(ends(move || run(&all)));
    }
}

/// A reader of this would look again and again, with its deadline forgotten.
#[test]
fn an_item_that_came_back_from_no_lease_is_an_error() {
    assert!(ends(|| {
        let queue = Queue::<u32>::new(0).unwrap();
        memory(&queue).write_all_at(&1_u32.to_le_bytes(), HEADER + 8).unwrap();
        assert!(matches!(queue.get_timeout(SOON), Err(Error::Protocol(_))));
    }));
}

/// The record says that one descriptor more came, or one less, than there are.
#[test]
fn a_wrong_number_of_descriptors_is_not_a_lack_of_room_for_them() {
    for said in [0_u64, 2, 200] {
        let queue = Queue::<Fd>::with_capacity(0, 4096).unwrap();
        queue.put(File::open("/dev/null").unwrap().into()).unwrap();
        memory(&queue).write_all_at(&(said << 32 | 1).to_le_bytes(), RING + 8).unwrap();
        let got = queue.try_get();
        assert!(matches!(got, Err(Error::Protocol(_))), "{said}: {got:?}");
    }
}

/// Every record of the ring is done with, and the leases reach around it a million times.
#[test]
fn leases_that_reach_around_the_ring_are_an_error() {
    assert!(ends(|| {
        let queue = Queue::<u32>::with_capacity(0, 4096).unwrap();
        queue.put(1).unwrap();
        let lease = queue.get_lease().unwrap();
        let file = memory(&queue);
        let done = 8_u64 << 32;
        (1..512).for_each(|unit| file.write_all_at(&done.to_le_bytes(), RING + unit * 8).unwrap());
        file.write_all_at(&u64::MAX.to_le_bytes(), HEADER + 16).unwrap();
        assert!(matches!(lease.ack(), Err(Error::Protocol(_))));
    }));
}
