//! loom explores the ring itself: what a commit publishes, around the end of a ring of 8 units.
//!
//! The records' words are read and written Relaxed, so a commit that is too weak, or a place that
//! is used again too early, shows as a value that nobody put.

use std::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread;

use crate::Error;
use crate::raw::cursor::Cursor;
use crate::raw::owner::Owner;
use crate::raw::ring::Ring;
use crate::raw::short::Short;
use crate::raw::turn::Patience;

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
    ring.put_short(&Short::of(&value.to_ne_bytes()).unwrap(), WAIT)
}

fn get(ring: &Ring) -> Option<u64> {
    Some(u64::from_ne_bytes(ring.get_short(WAIT)?.bytes().try_into().unwrap()))
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

/// Lets two threads work on the ring, in every order; their maker only waits.
fn both<A: 'static, B: 'static>(
    ring: &Arc<Ring>,
    one: impl FnOnce(&Ring) -> A + 'static,
    other: impl FnOnce(&Ring) -> B + 'static,
) -> (A, B) {
    let (here, there) = (ring.clone(), ring.clone());
    let one = thread::spawn(move || one(&here));
    let other = thread::spawn(move || other(&there));
    (one.join().unwrap(), other.join().unwrap())
}

fn rest(ring: &Ring) -> Vec<u64> {
    std::iter::from_fn(|| get(ring)).collect()
}

#[test]
fn records_arrive_whole_and_in_order() {
    explore(|| {
        // The first record begins in the last unit and ends in the first one.
        let ring = ring(u32::MAX);
        let early = |ring: &Ring| [get(ring), take(ring, None).map(|(value, _)| value)];
        let (fit, early) = both(&ring, |ring| put(ring, 7) && put(ring, 8), early);
        let all: Vec<u64> = early.into_iter().flatten().chain(rest(&ring)).collect();
        assert_eq!((fit, all), (true, vec![7, 8]));
    });
}

#[test]
fn room_is_used_again_when_it_is_free() {
    explore(|| {
        let ring = ring(3);
        (1..=4).for_each(|value| assert!(put(&ring, value)));
        let two = |ring: &Ring| (get(ring), take(ring, None).map(|(value, _)| value));
        let (fit, got) = both(&ring, |ring| put(ring, 5), two);
        assert_eq!(got, (Some(1), Some(2)));
        assert_eq!(rest(&ring), if fit { vec![3, 4, 5] } else { vec![3, 4] });
    });
}

#[test]
fn two_putters_never_write_over_each_other() {
    explore(|| {
        let ring = ring(6);
        let fit = both(&ring, |ring| put(ring, 7), |ring| put_all(ring, &[8]).is_ok());
        let mut all = rest(&ring);
        all.sort_unstable();
        assert_eq!((fit, all), ((true, true), vec![7, 8]));
    });
}

#[test]
fn a_batch_is_there_all_at_once() {
    explore(|| {
        let ring = ring(5);
        let look = |ring: &Ring| (ring.len(), get(ring), get(ring));
        let (_, (len, first, second)) = both(&ring, |ring| put_all(ring, &[7, 8]).unwrap(), look);
        assert!(len == 0 || len == 2, "{len}");
        let got = (first, second);
        assert!([(None, None), (None, Some(7)), (Some(7), Some(8))].contains(&got), "{got:?}");
    });
}

#[test]
fn what_was_put_before_the_end_is_got() {
    explore(|| {
        let ring = ring(7);
        let end = |ring: &Ring| {
            ring.close();
            let mut got = Vec::new();
            loop {
                got.extend(rest(ring));
                if ring.is_over(WAIT).unwrap() {
                    return got;
                }
            }
        };
        let (fit, got) = both(&ring, |ring| put_all(ring, &[7]).is_ok(), end);
        assert_eq!(got, if fit { vec![7] } else { vec![] });
    });
}

/// Leases the next record and ends the lease at once.
fn lease_and_end(ring: &Ring) -> Option<u64> {
    let (value, at) = take(ring, Some(Owner(1)))?;
    ring.getting(WAIT).unwrap().acknowledge(Some(at), Owner(1)).unwrap();
    Some(value)
}

#[test]
fn leases_end_in_any_order() {
    explore(|| {
        let ring = ring(6);
        put_all(&ring, &[7, 8]).unwrap();
        let (theirs, mine) = both(&ring, lease_and_end, |ring| take(ring, None));
        assert_eq!(theirs.unwrap() + mine.unwrap().0, 15);
        assert_eq!((ring.unfinished(), ring.len()), (0, 0));
        assert!(put(&ring, 9) && get(&ring) == Some(9), "and all the room is free");
    });
}

#[test]
fn a_lease_beside_a_put() {
    explore(|| {
        let ring = ring(6);
        let (_, early) = both(&ring, |ring| assert!(put(ring, 7) && put(ring, 8)), lease_and_end);
        let all: Vec<u64> = early.into_iter().chain(rest(&ring)).collect();
        assert_eq!((all, ring.unfinished()), (vec![7, 8], 0));
    });
}

#[test]
fn what_is_given_back_is_delivered_again() {
    explore(|| {
        let ring = ring(7);
        put_all(&ring, &[7]).unwrap();
        let back = |ring: &Ring| {
            let leased = take(ring, Some(Owner(1)));
            leased.map(|(_, at)| ring.getting(WAIT).unwrap().give_back(at, Owner(1)).unwrap())
        };
        let (leased, early) = both(&ring, back, |ring| take(ring, None));
        assert!(early.is_some() || leased.is_some());
        let late = take(&ring, None);
        assert_eq!(early.xor(late).unwrap().0, 7, "once, whoever came first");
        assert_eq!(ring.unfinished(), 0);
    });
}
