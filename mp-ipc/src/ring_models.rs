//! loom explores the ring itself: what a commit publishes, around the end of a ring of 8 units.
//!
//! The records' words are read and written Relaxed, so a commit that is too weak, or a place that
//! is used again too early, shows as a value that nobody put.

use std::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread;

use crate::Error;
use crate::raw::cursor::Cursor;
use crate::raw::fast::SHORT;
use crate::raw::owner::Owner;
use crate::raw::ring::{Patience, Ring};

const WAIT: Patience = Patience::Until(None);

/// An empty ring that has come around before: it goes on at unit `at`.
fn ring(at: u32) -> Arc<Ring> {
    let ring = Ring::create(0, 64, 0).unwrap();
    let start = Cursor { items: at, units: at }.word();
    let (put, get) = (&ring.header.put, &ring.header.get);
    for word in [&put.commit, &put.seen, &get.commit, &get.seen] {
        word.store(start, Ordering::Relaxed);
    }
    Arc::new(ring)
}

/// Puts a record of two units; `false` if there is no room.
fn put(ring: &Ring, value: u64) -> bool {
    let mut bytes = [0; SHORT];
    bytes[..8].copy_from_slice(&value.to_ne_bytes());
    ring.put_short(&bytes, 8, WAIT)
}

fn get(ring: &Ring) -> Option<u64> {
    let mut bytes = [0; SHORT];
    let len = ring.get_short(&mut bytes, WAIT)?;
    assert_eq!(len, 8);
    Some(u64::from_ne_bytes(*bytes.first_chunk().unwrap()))
}

/// As `put`, the long way: all of `values` with one commit.
fn put_all(ring: &Ring, values: &[u64]) -> Result<(), Error> {
    let mut put = ring.putting(WAIT)?;
    for value in values {
        assert!(put.has_room(2));
        put.write(0, &[], &value.to_le_bytes())?;
    }
    put.commit();
    Ok(())
}

/// As `get`, the long way: leased if there is an owner. Also says where it lay.
fn take(ring: &Ring, owner: Option<Owner>) -> Option<(u64, Cursor)> {
    let mut get = ring.getting(WAIT).unwrap();
    let record = get.next().unwrap()?;
    let mut bytes = Vec::new();
    get.copy(&record, 0, &mut bytes).unwrap();
    match owner {
        Some(owner) => get.lease(&record, owner).unwrap(),
        None => {
            get.take(&record).unwrap();
            get.commit();
        }
    }
    Some((u64::from_le_bytes(bytes.try_into().unwrap()), record.at))
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn records_arrive_whole_and_in_order() {
    explore(|| {
        // The first record begins in the last unit and ends in the first one.
        let ring = ring(u32::MAX);
        let there = ring.clone();
        let putter = thread::spawn(move || assert!(put(&there, 7) && put(&there, 8)));
        let mut got: Vec<u64> = (0..2).filter_map(|_| get(&ring)).collect();
        putter.join().unwrap();
        got.extend(std::iter::from_fn(|| take(&ring, None)).map(|(value, _)| value));
        assert_eq!(got, [7, 8]);
    });
}

#[test]
fn room_is_used_again_when_it_is_free() {
    explore(|| {
        let ring = ring(3);
        (1..=4).for_each(|value| assert!(put(&ring, value)));
        let there = ring.clone();
        let getter =
            thread::spawn(move || (get(&there), take(&there, None).map(|(value, _)| value)));
        let fit = put(&ring, 5);
        assert_eq!(getter.join().unwrap(), (Some(1), Some(2)));
        let rest: Vec<u64> = std::iter::from_fn(|| get(&ring)).collect();
        assert_eq!(rest, if fit { vec![3, 4, 5] } else { vec![3, 4] });
    });
}

#[test]
fn two_putters_never_write_over_each_other() {
    explore(|| {
        let ring = ring(6);
        let putters = [7, 8].map(|value| {
            let there = ring.clone();
            thread::spawn(move || assert!(put(&there, value)))
        });
        let first = get(&ring);
        putters.into_iter().for_each(|putter| putter.join().unwrap());
        let mut all: Vec<u64> =
            first.into_iter().chain(std::iter::from_fn(|| get(&ring))).collect();
        all.sort_unstable();
        assert_eq!(all, [7, 8]);
    });
}

#[test]
fn a_batch_is_there_all_at_once() {
    explore(|| {
        let ring = ring(5);
        let there = ring.clone();
        let putter = thread::spawn(move || put_all(&there, &[7, 8]).unwrap());
        let len = ring.len();
        assert!(len == 0 || len == 2, "{len}");
        let got = (get(&ring), get(&ring));
        assert!([(None, None), (None, Some(7)), (Some(7), Some(8))].contains(&got), "{got:?}");
        putter.join().unwrap();
    });
}

#[test]
fn what_was_put_before_the_end_is_got() {
    explore(|| {
        let ring = ring(7);
        let there = ring.clone();
        let putter = thread::spawn(move || put_all(&there, &[7]).is_ok());
        ring.close();
        let mut got = Vec::new();
        loop {
            got.extend(std::iter::from_fn(|| get(&ring)));
            if ring.is_over(WAIT).unwrap() {
                break;
            }
        }
        let fit = putter.join().unwrap();
        assert_eq!(got, if fit { vec![7] } else { vec![] });
    });
}

#[test]
fn leases_end_in_any_order() {
    explore(|| {
        let ring = ring(6);
        put_all(&ring, &[7, 8]).unwrap();
        let there = ring.clone();
        let holder = thread::spawn(move || {
            let (value, at) = take(&there, Some(Owner(1))).unwrap();
            there.getting(WAIT).unwrap().acknowledge(Some(at), Owner(1)).unwrap();
            value
        });
        // The other one, taken for good beside the lease.
        let (mine, _) = take(&ring, None).unwrap();
        let theirs = holder.join().unwrap();
        assert_eq!(mine + theirs, 15);
        assert_eq!((ring.unfinished(), ring.len()), (0, 0));
        assert!(put(&ring, 9) && get(&ring) == Some(9), "and all the room is free");
    });
}

#[test]
fn what_is_given_back_is_delivered_again() {
    explore(|| {
        let ring = ring(7);
        put_all(&ring, &[7]).unwrap();
        let there = ring.clone();
        let holder = thread::spawn(move || {
            let leased = take(&there, Some(Owner(1)));
            leased.map(|(_, at)| there.getting(WAIT).unwrap().give_back(at, Owner(1)).unwrap())
        });
        let early = take(&ring, None);
        let leased = holder.join().unwrap();
        assert!(early.is_some() || leased.is_some());
        let late = take(&ring, None);
        assert_eq!(early.xor(late).unwrap().0, 7, "once, whoever came first");
        assert_eq!(ring.unfinished(), 0);
    });
}
