//! A queue whose memory another process has scribbled over: every call still ends, with an error
//! or with something to decode.
//!
//! The locks are left alone: a lock that says that somebody holds it who does not is a lock that
//! is held, and calls without a deadline wait for it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use mp_ipc::{Error, Fd, JoinableQueue, Lease, Queue, decode, encode};
use proptest::prelude::*;
use serde_bytes::ByteBuf;

type Item = (Option<Fd>, ByteBuf);

const SOON: Duration = Duration::from_millis(1);

/// Where the queue's own bytes begin, after the region's.
const HEADER: u64 = 64;
/// The words of the queue's header that are no locks, by their offset there (`docs/layout.md`).
const WORDS: [u64; 10] = [0, 8, 16, 64 + 48, 64 + 56, 64 + 64, 192 + 48, 192 + 56, 192 + 64, 320];
const RING: u64 = 4096;

#[derive(Clone, Debug)]
enum Step {
    Put(usize, bool),
    Get,
    Wait,
    Lease,
    Ack,
    GiveBack,
    Drain,
    Attach,
    Join,
    /// What is written where in the file.
    Scribble(u64, u64),
}

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

/// The queue's memory, as another process has it.
fn memory<T>(queue: &Queue<T>) -> File {
    let fds = encode(queue).unwrap().fds.into_iter().map(File::from);
    fds.into_iter().find(|file| file.metadata().unwrap().is_file()).unwrap()
}

/// What a call on a broken queue may say.
fn check<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(
            Error::Protocol(_)
            | Error::Full
            | Error::Empty
            | Error::TimedOut
            | Error::Closed
            | Error::Decode(_)
            | Error::Handle(_)
            | Error::Memory(_)
            | Error::NotHeld
            | Error::TooManyHolders { .. }
            | Error::ConsumerDied { .. }
            // Fewer descriptors have come than the record says, as if this process had no room.
            | Error::Os { op: "receiving descriptors", .. },
        ) => None,
        Err(other) => panic!("{other:?}"),
    }
}

fn run(steps: &[Step]) {
    let queue = Queue::<Item>::with_capacity(20, 4096).unwrap();
    let file = memory(&queue);
    let mut leases: Vec<Lease<Item>> = Vec::new();
    for step in steps {
        match *step {
            Step::Put(len, handle) => {
                let fd = handle.then(|| File::open("/dev/null").unwrap().into());
                check(queue.put_timeout((fd, vec![7; len].into()), SOON).map_err(Error::from));
            }
            Step::Get => drop(check(queue.try_get())),
            Step::Wait => drop(check(queue.get_timeout(SOON))),
            Step::Lease => leases.extend(check(queue.get_lease_timeout(SOON))),
            Step::Ack => drop(leases.pop().map(|lease| check(lease.ack()))),
            Step::GiveBack => drop(leases.pop()),
            Step::Drain => drop(queue.drain().map_while(check).count()),
            Step::Attach => {
                if let Some(same) = check(encode(&queue).and_then(decode::<Queue<Item>>)) {
                    check(same.try_get());
                }
            }
            Step::Join => {
                // The same queue, under the name that has `join`.
                let message = encode(&queue).unwrap();
                if let Some(same) = check(decode::<JoinableQueue<Item>>(message)) {
                    check(same.join_timeout(SOON));
                    check(same.task_done());
                }
            }
            Step::Scribble(place, value) => file.write_all_at(&value.to_le_bytes(), place).unwrap(),
        }
        let _ = (queue.len(), queue.is_empty(), queue.is_full(), format!("{queue:?}"));
    }
    queue.close();
    drop(leases);
    check(queue.get_timeout(SOON));
}

/// Runs `act` on a thread of its own, which is given up if it does not end.
fn ends(act: impl FnOnce() + Send + 'static) -> bool {
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
