//! Waiting for many at once.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mp_ipc::{pipe, wait};

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn the_ready_ones_are_named_in_order() {
    let pairs: Vec<_> = (0..6).map(|_| pipe::<u32, u32>().unwrap()).collect();
    let (socket, mut other) = UnixStream::pair().unwrap();
    let mut all: Vec<&dyn AsFd> = pairs.iter().map(|(here, _)| here as &dyn AsFd).collect();
    all.push(&socket);
    assert_eq!(wait(&all, Some(Duration::ZERO)).unwrap(), []);
    for at in [4, 1, 3] {
        pairs[at].1.send(&1).unwrap();
    }
    other.write_all(b"x").unwrap();
    assert_eq!(wait(&all, None).unwrap(), [1, 3, 4, 6]);
    assert_eq!(wait(&all, None).unwrap(), [1, 3, 4, 6], "looking takes nothing away");
}

#[test]
fn the_end_is_ready() {
    let (here, there) = pipe::<u32, u32>().unwrap();
    drop(there);
    assert_eq!(wait(&[&here], None).unwrap(), [0]);
}

#[test]
fn with_nothing_it_waits_for_the_time_alone() {
    let start = Instant::now();
    assert_eq!(wait(&[], Some(SHORT)).unwrap(), []);
    assert!(start.elapsed() >= SHORT);
    let (here, _there) = pipe::<u32, u32>().unwrap();
    assert_eq!(wait(&[&here], Some(SHORT)).unwrap(), []);
    assert!(start.elapsed() >= 2 * SHORT);
}

/// More than `select` can, and more than `FD_SETSIZE`.
#[test]
fn more_than_a_thousand_are_waited_for_at_once() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map_or(Some(5_000), |most| Some(most.min(5_000)));
    setrlimit(Resource::Nofile, limit).unwrap();
    let pairs: Vec<_> = (0..1_500).map(|_| pipe::<u32, u32>().unwrap()).collect();
    let all: Vec<&dyn AsFd> = pairs.iter().map(|(here, _)| here as &dyn AsFd).collect();
    assert_eq!(wait(&all, Some(Duration::ZERO)).unwrap(), []);
    for at in [1_499, 0, 1_024] {
        pairs[at].1.send(&1).unwrap();
    }
    assert_eq!(wait(&all, None).unwrap(), [0, 1_024, 1_499]);
}
