//! `Queue` and its family, within one process.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mp_ipc::{ByteQueue, Error, Fd, JoinableQueue, Queue, SimpleQueue};
use proptest::prelude::*;

const LONG: Duration = Duration::from_secs(10);

#[test]
fn items_come_out_in_order() {
    let queue = Queue::new(0).unwrap();
    for round in 0..5_000_u32 {
        queue.put((round, "x".repeat(round as usize % 100))).unwrap();
        queue.put((round, String::new())).unwrap();
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.get().unwrap(), (round, "x".repeat(round as usize % 100)));
        assert_eq!(queue.try_get().unwrap(), (round, String::new()));
    }
    assert!(queue.is_empty());
}

#[test]
fn a_full_queue_says_so_and_gives_back() {
    let queue = Queue::new(2).unwrap();
    queue.put(1).unwrap();
    assert!(!queue.is_full());
    queue.put(2).unwrap();
    assert!(queue.is_full());
    let (value, error) = queue.try_put(3).unwrap_err().into_parts();
    assert!(matches!((value, error), (3, Error::Full)));
    let begin = Instant::now();
    let late = queue.put_timeout(4, Duration::from_millis(100)).unwrap_err();
    assert!(
        matches!(late.error(), Error::TimedOut) && begin.elapsed() >= Duration::from_millis(100)
    );
    queue.get().unwrap();
    queue.try_put(5).unwrap();
    assert_eq!(queue.drain().map(Result::unwrap).collect::<Vec<_>>(), [2, 5]);
    let begin = Instant::now();
    let late = queue.get_timeout(Duration::from_millis(100)).unwrap_err();
    assert!(matches!(late, Error::TimedOut) && begin.elapsed() < Duration::from_secs(1));
    assert!(matches!(queue.try_get(), Err(Error::Empty)));
}

#[test]
fn the_ring_can_be_the_limit() {
    let queue = ByteQueue::with_capacity(0, 4096).unwrap();
    let mut items = 0;
    while queue.try_put(&[items as u8; 100]).is_ok() {
        items += 1;
    }
    assert_eq!((items, queue.len()), (4096 / 112, 4096 / 112));
    for item in 0..items {
        assert_eq!(queue.try_get().unwrap(), [item as u8; 100]);
    }
}

#[test]
fn long_items_pass_through_a_small_ring() {
    let queue = Queue::<serde_bytes::ByteBuf>::with_capacity(0, 4096).unwrap();
    let there = queue.clone();
    let sizes = [1_000, 1_100, 5_000, 70_000, 3_000_000, 1, 64 << 20, 12];
    let putter = thread::spawn(move || {
        for (n, size) in sizes.into_iter().enumerate() {
            there.put(vec![n as u8; size].into()).unwrap();
        }
        there.close();
    });
    let mut n = 0;
    for item in &queue {
        let item = item.unwrap();
        assert_eq!(item.len(), sizes[n]);
        assert!(item.iter().all(|byte| *byte == n as u8));
        n += 1;
    }
    assert_eq!(n, sizes.len());
    putter.join().unwrap();
}

#[test]
fn closing_wakes_everybody() {
    let empty = Queue::<u32>::new(1).unwrap();
    let full = Queue::new(1).unwrap();
    full.put(1).unwrap();
    thread::scope(|scope| {
        let getters: Vec<_> = (0..3).map(|_| scope.spawn(|| empty.get())).collect();
        let putters: Vec<_> = (0..3).map(|_| scope.spawn(|| full.put(2))).collect();
        thread::sleep(Duration::from_millis(20));
        empty.close();
        full.close();
        for getter in getters {
            assert!(matches!(getter.join().unwrap(), Err(Error::Closed)));
        }
        for putter in putters {
            assert!(matches!(putter.join().unwrap().unwrap_err().error(), Error::Closed));
        }
    });
    assert_eq!(full.get().unwrap(), 1);
    assert!(matches!(full.get(), Err(Error::Closed)));
    assert!(matches!(full.try_put(3).unwrap_err().error(), Error::Closed));
}

#[test]
fn threads_share_fairly_enough() {
    let queue = Queue::new(4).unwrap();
    let sum = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (1..=1000_u64).for_each(|n| queue.put(n).unwrap()));
            scope.spawn(|| {
                for _ in 0..1000 {
                    sum.fetch_add(queue.get_timeout(LONG).unwrap(), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 4 * 500_500);
}

#[test]
fn many_at_once_are_the_same_items() {
    let queue = Queue::<(u32, Vec<u8>)>::with_capacity(50, 4096).unwrap();
    let item = |n: u32| (n, vec![n as u8; [1, 20, 300, 3_000][n as usize % 4]]);
    thread::scope(|scope| {
        scope.spawn(|| {
            queue.put_many((0..2_000).map(item)).unwrap();
            queue.close();
        });
        let mut next = 0;
        while let Ok(items) = queue.get_many(7) {
            assert!((1..=7).contains(&items.len()));
            for got in items {
                assert_eq!(got, item(next));
                next += 1;
            }
        }
        assert_eq!(next, 2_000);
    });
}

#[test]
fn handles_travel() {
    let queue = Queue::<(u32, Vec<Fd>)>::with_capacity(0, 4096).unwrap();
    for round in 0..1_000 {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        queue.put((round, vec![writer.into(), File::open("/dev/null").unwrap().into()])).unwrap();
        let (n, mut fds) = queue.get().unwrap();
        assert_eq!((n, fds.len()), (round, 2));
        let mut writer = UnixStream::from(fds.remove(0).0);
        writer.write_all(b"hello").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello", "and no duplicate is left open");
    }
    // As many as fit into the socket; the next put waits for room.
    let mut sent = 0;
    while queue.try_put((sent, vec![File::open("/dev/null").unwrap().into()])).is_ok() {
        sent += 1;
    }
    assert!(sent > 50, "{sent}");
    assert_eq!(
        queue.drain().map(Result::unwrap).map(|(n, _)| n).collect::<Vec<_>>().len(),
        sent as usize
    );
}

#[test]
fn a_queue_travels_through_a_queue() {
    let outer = Queue::<Queue<String>>::new(0).unwrap();
    let inner = Queue::<String>::new(0).unwrap();
    outer.put(inner.clone()).unwrap();
    let same = outer.get().unwrap();
    inner.put("here".into()).unwrap();
    assert_eq!(same.get().unwrap(), "here");
    let error = mp_ipc::encode(&0_u8).and_then(mp_ipc::decode::<Queue<u8>>).unwrap_err();
    assert!(matches!(error, Error::Decode(_) | Error::Handle(_)), "{error:?}");
    let message = mp_ipc::encode(&inner).unwrap();
    assert!(mp_ipc::decode::<Queue<u32>>(message).is_err(), "another element type");
    assert!(postcard::to_stdvec(&inner).is_err(), "a handle outside of a message");
}

#[test]
fn leases_come_back() {
    let queue = Queue::with_capacity(0, 4096).unwrap();
    for n in 0..4 {
        queue.put(n).unwrap();
    }
    let first = queue.get_lease().unwrap();
    let second = queue.get_lease().unwrap();
    assert_eq!((*first, *second, queue.len()), (0, 1, 2));
    drop(first);
    assert_eq!(queue.len(), 3);
    let again = queue.get_lease().unwrap();
    assert!(again.is_redelivered() && *again == 0);
    assert_eq!(queue.get().unwrap(), 2, "a plain get goes on behind the leases");
    assert_eq!(second.ack().unwrap(), 1);
    assert_eq!(again.ack().unwrap(), 0);
    assert_eq!(queue.try_get().unwrap(), 3);
    assert!(queue.is_empty());
    // Nothing of it holds room.
    for n in 0..10_000 {
        queue.try_put(n).unwrap();
        assert_eq!(queue.try_get_lease().unwrap().ack().unwrap(), n);
    }
}

#[test]
fn leased_handles_and_long_items_come_back() {
    let queue = Queue::<(Fd, serde_bytes::ByteBuf)>::with_capacity(0, 4096).unwrap();
    let item = |n: u8, len| (Fd::from(File::open("/dev/null").unwrap()), vec![n; len].into());
    queue.put(item(1, 10)).unwrap();
    queue.put(item(2, 100_000)).unwrap();
    queue.put(item(3, 10)).unwrap();
    let one = queue.get_lease().unwrap();
    let two = queue.get_lease().unwrap();
    let three = queue.get_lease().unwrap();
    three.ack().unwrap();
    drop(one);
    drop(two);
    assert_eq!(queue.get().unwrap().1, [1; 10]);
    assert_eq!(queue.get().unwrap().1, [2; 100_000]);
    queue.put(item(4, 10)).unwrap();
    assert_eq!(queue.get().unwrap().1, [4; 10]);
}

#[test]
fn a_joinable_queue_counts_what_is_undone() {
    let queue = JoinableQueue::new(1).unwrap();
    queue.put(1).unwrap();
    assert_eq!(queue.get().unwrap(), 1);
    queue.put(2).unwrap();
    assert_eq!(queue.get().unwrap(), 2, "what was got takes no place among maxsize");
    let late = queue.join_timeout(Duration::from_millis(20)).unwrap_err();
    assert!(matches!(late, Error::TimedOut));
    thread::scope(|scope| {
        let joiner = scope.spawn(|| queue.join_timeout(LONG));
        queue.task_done().unwrap();
        queue.task_done().unwrap();
        joiner.join().unwrap().unwrap();
    });
    assert!(matches!(queue.task_done(), Err(Error::NotHeld)));
}

#[test]
fn a_simple_queue_is_simple() {
    let queue = SimpleQueue::new().unwrap();
    assert!(queue.is_empty());
    queue.put(vec![1, 2]).unwrap();
    assert!(!queue.is_empty());
    assert_eq!(queue.get().unwrap(), [1, 2]);
}

#[derive(Clone, Debug)]
enum Act {
    Put(usize),
    Get,
    Lease,
    Ack(usize),
    GiveBack(usize),
}

proptest! {
    /// One thread, so the model is exact: what is in the queue, and what is leased.
    #[test]
    fn a_queue_is_a_vecdeque(
        maxsize in 0_usize..6,
        acts in prop::collection::vec(
            prop_oneof![
                4 => (0_usize..3_000).prop_map(Act::Put),
                3 => Just(Act::Get),
                2 => Just(Act::Lease),
                2 => (0_usize..4).prop_map(Act::Ack),
                1 => (0_usize..4).prop_map(Act::GiveBack),
            ],
            0..120,
        ),
    ) {
        let queue = Queue::<(u32, Vec<u8>)>::with_capacity(maxsize, 4096).unwrap();
        let mut model = VecDeque::new();
        let (mut leases, mut number) = (Vec::new(), 0);
        for act in acts {
            match act {
                Act::Put(len) => {
                    let item = (number, vec![number as u8; len]);
                    number += 1;
                    match queue.try_put(item.clone()) {
                        Ok(()) => model.push_back(item),
                        Err(failed) => {
                            prop_assert_eq!(failed.into_value(), item);
                            prop_assert!(!model.is_empty() || !leases.is_empty());
                        }
                    }
                }
                Act::Get => match queue.try_get() {
                    Ok(item) => prop_assert_eq!(Some(item), model.pop_front()),
                    Err(Error::Empty) => prop_assert!(model.is_empty()),
                    Err(other) => return Err(TestCaseError::fail(other.to_string())),
                },
                Act::Lease => match queue.try_get_lease() {
                    Ok(lease) => {
                        prop_assert_eq!(Some(&*lease).cloned(), model.pop_front());
                        leases.push(lease);
                    }
                    Err(Error::Empty) => prop_assert!(model.is_empty()),
                    Err(other) => return Err(TestCaseError::fail(other.to_string())),
                },
                Act::Ack(at) if at < leases.len() => {
                    leases.remove(at).ack().unwrap();
                }
                Act::GiveBack(at) if at < leases.len() => {
                    let lease = leases.remove(at);
                    // What comes back goes before all that is new, in its old order.
                    let place = model.iter().take_while(|item| item.0 < lease.0).count();
                    model.insert(place, lease.clone());
                }
                Act::Ack(_) | Act::GiveBack(_) => {}
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_empty(), model.is_empty());
        }
    }
}
