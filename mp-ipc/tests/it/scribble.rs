//! A queue whose memory another process scribbles over, between any two calls.
//!
//! The locks are left alone: a lock that says that somebody holds it who does not is a lock that
//! is held, and calls without a deadline wait for it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use mp_ipc::{Error, Fd, JoinableQueue, Lease, Queue, decode, encode};
use serde_bytes::ByteBuf;

pub(crate) type Item = (Option<Fd>, ByteBuf);

pub(crate) const SOON: Duration = Duration::from_millis(1);

/// Where the queue's own bytes begin, after the region's.
pub(crate) const HEADER: u64 = 64;
/// The words of the queue's header that are no locks, by their offset there (`docs/layout.md`).
pub(crate) const WORDS: [u64; 10] =
    [0, 8, 16, 64 + 48, 64 + 56, 64 + 64, 192 + 48, 192 + 56, 192 + 64, 320];
pub(crate) const RING: u64 = 4096;

#[derive(Clone, Debug)]
pub(crate) enum Step {
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

/// The queue's memory, as another process has it.
pub(crate) fn memory<T>(queue: &Queue<T>) -> File {
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
            | Error::ConsumerDied { .. },
        ) => None,
        Err(other) => panic!("{other:?}"),
    }
}

/// Takes the steps, on a queue of its own.
pub(crate) fn run(steps: &[Step]) {
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
