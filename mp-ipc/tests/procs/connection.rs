//! Connections between processes, one of which may die.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_ipc::{Connection, Error, pipe, simplex, wait};
use mp_sys::pidfd::Status;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::child::Child;
use crate::trial;

const LONG: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_child_answers", a_child_answers),
        trial("a_child_uses_a_connection_it_was_sent", a_child_uses_a_connection_it_was_sent),
        trial("any_sequence_arrives_up_to_the_death_of_its_sender", any_sequence),
        trial("a_sender_killed_anywhere_tears_nothing", killed_senders),
        trial("a_receiver_that_dies_is_reported", a_receiver_that_dies_is_reported),
        trial("wait_sees_processes_and_connections", wait_sees_processes_and_connections),
        trial("more_than_two_gibibytes_arrive", more_than_two_gibibytes),
    ]
}

fn a_child_answers() {
    let (here, there) = pipe::<u64, u64>().unwrap();
    let here = Cell::new(Some(here));
    let child = Child::run(|| {
        drop(here.take());
        while let Ok(number) = there.recv() {
            there.send(&(number * number)).unwrap();
        }
    });
    drop(there);
    let here = here.into_inner().unwrap();
    for number in 0..2000 {
        here.send(&number).unwrap();
        assert_eq!(here.recv_timeout(LONG).unwrap(), number * number);
    }
    drop(here);
    child.succeed();
}

fn a_child_uses_a_connection_it_was_sent() {
    let (carrier, far) = pipe::<Connection<String>, ()>().unwrap();
    let child = Child::run(|| {
        let connection = far.recv().unwrap();
        connection.send(&"from the child".to_string()).unwrap();
    });
    let (one, other) = pipe::<String, String>().unwrap();
    carrier.send(&other).unwrap();
    drop((other, far));
    assert_eq!(one.recv_timeout(LONG).unwrap(), "from the child");
    child.succeed();
    assert!(matches!(one.recv_timeout(LONG), Err(Error::Closed)));
}

/// What one message of the model is made of: all of it follows from number and length.
fn payload(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + number * 7) as u8).collect()
}

fn any_sequence() {
    let len = prop_oneof![4 => 0..300usize, 2 => 0..5000usize, 1 => 0..400_000usize];
    let sequence = (prop::collection::vec(len, 0..30), prop::option::of(0..30usize));
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(60)
    });
    let result = runner.run(&sequence, |(lens, death)| {
        let (sender, receiver) = simplex::<()>().unwrap();
        let child = Child::run(|| {
            for (number, len) in lens.iter().enumerate() {
                if death == Some(number) {
                    // In the middle of a message that has no room to go as a whole.
                    let soon = Some(mp_ipc::Deadline::now());
                    let _ = sender.wire().send_parts(&vec![0; 3_000_000], &[], soon);
                    mp_sys::fork::exit_now(9);
                }
                sender.send_bytes(&payload(number, *len)).unwrap();
            }
        });
        drop(sender);
        let whole = death.unwrap_or(usize::MAX).min(lens.len());
        for (number, len) in lens.iter().enumerate().take(whole) {
            prop_assert!(receiver.recv_bytes().unwrap() == payload(number, *len));
        }
        match receiver.recv_bytes() {
            Err(Error::Closed) => prop_assert_eq!(
                child.join(),
                Status::Exited(
                    // There may have been no room for even a part.
                    if whole < lens.len() { 9 } else { 0 }
                )
            ),
            Err(Error::Truncated { got }) => {
                prop_assert!(got > 0 && whole < lens.len());
                prop_assert_eq!(child.join(), Status::Exited(9));
            }
            other => prop_assert!(false, "{:?}", other),
        }
        Ok(())
    });
    result.unwrap();
}

/// The story: a child sends numbered messages of many sizes and is killed at a random moment.
/// What the parent receives is a prefix of whole messages, then the end, and it says which.
fn killed_senders() {
    let seconds = std::env::var("MP_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs_f64(seconds.unwrap_or(1.0));
    let (mut kills, mut cut, mut messages) = (0u32, 0u32, 0u64);
    let message = |number: usize| vec![number as u8; [8, 100, 241, 70_000, 300_000][number % 5]];
    while Instant::now() < until {
        let (sender, receiver) = simplex::<()>().unwrap();
        let child = Child::run(|| {
            for number in 0.. {
                sender.send_bytes(&message(number)).unwrap();
            }
        });
        drop(sender);
        let stop = usize::from(u16::from_ne_bytes(mp_sys::random::bytes().unwrap()) % 100);
        for number in 0.. {
            if number == stop {
                child.kill();
                kills += 1;
            }
            match receiver.recv_bytes() {
                Ok(bytes) => assert!(bytes == message(number), "message {number} is torn"),
                Err(Error::Closed) => break,
                Err(Error::Truncated { .. }) => {
                    cut += 1;
                    break;
                }
                Err(other) => panic!("{other}"),
            }
            messages += 1;
        }
    }
    println!("{kills} kills, {cut} of them inside a message; {messages} messages, none torn");
}

fn a_receiver_that_dies_is_reported() {
    let (here, there) = pipe::<Vec<u8>, ()>().unwrap();
    let child = Child::run(|| {
        there.recv().unwrap();
        mp_sys::fork::exit_now(0);
    });
    drop(there);
    let error = loop {
        if let Err(error) = here.send(&vec![1; 100_000]) {
            break error;
        }
    };
    assert!(matches!(error, Error::Closed), "{error}");
    child.succeed();
    assert!(matches!(here.recv(), Err(Error::Closed)));
}

fn wait_sees_processes_and_connections() {
    let (here, there) = pipe::<u8, u8>().unwrap();
    let (go, ready) = pipe::<u8, u8>().unwrap();
    let child = Child::run(|| {
        there.send(&1).unwrap();
        ready.recv().unwrap();
    });
    drop(there);
    let all: [&dyn AsFd; 2] = [&child, &here];
    assert_eq!(wait(&all, Some(LONG)).unwrap(), [1]);
    here.recv().unwrap();
    go.send(&1).unwrap();
    assert_eq!(wait(&[&child], Some(LONG)).unwrap(), [0]);
    assert_eq!(wait(&all, Some(LONG)).unwrap(), [0, 1], "its end and the connection's");
    child.succeed();
}

fn more_than_two_gibibytes() {
    let len = (2usize << 30) + 12_345;
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = available.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    if available.unwrap_or(0usize) * 1024 < 3 * len {
        println!("not run: there is not enough memory");
        return;
    }
    let (sender, receiver) = simplex::<()>().unwrap();
    let child = Child::run(|| {
        let mut big = vec![0u8; len];
        big[len - 1] = 77;
        sender.send_bytes(&big).unwrap();
        sender.send_bytes(b"after").unwrap();
    });
    drop(sender);
    let start = Instant::now();
    let big = receiver.recv_bytes().unwrap();
    println!("{len} bytes in {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!((big.len(), big[len - 1], big[len / 2]), (len, 77, 0));
    drop(big);
    assert_eq!(receiver.recv_bytes().unwrap(), b"after");
    child.succeed();
}
