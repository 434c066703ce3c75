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
