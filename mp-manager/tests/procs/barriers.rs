//! What CPython's tests assert of `Barrier`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use mp_manager::{Barrier, Error, Manager};

use crate::Body;
use crate::crew::{Board, Mode, SHORT, join, until};

const N: u32 = 5;

pub(crate) const BODIES: &[Body] = &[
    ("barrier", barrier),
    ("barrier_wait_return", wait_return),
    ("barrier_action", action),
    ("barrier_action_panics", action_panics),
    ("barrier_abort", abort),
    ("barrier_reset", reset),
    ("barrier_abort_and_reset", abort_and_reset),
    ("barrier_timeout", timeout),
    ("barrier_single", single),
    ("barrier_thousand", thousand),
];

type Party = fn(((Barrier, Barrier, Board), u32));

/// Lets N parties meet; two barriers of N, and what they have written.
fn parties(mode: Mode, party: Party) -> (Manager, Barrier, Board) {
    let manager = Manager::start().unwrap();
    let barrier = || manager.barrier(N as usize).unwrap();
    let (first, second, board) = (barrier(), barrier(), Board::new());
    join(mode.run_each(N, party, &(first.clone(), second, board.clone())));
    (manager, first, board)
}

fn until_others_wait(barrier: &Barrier) {
    until("the others wait", || barrier.waiting().unwrap() == N as usize - 1);
}

/// test_barrier, test_barrier_10
fn barrier(mode: Mode) {
    let (_manager, barrier, _) = parties(mode, |((barrier, _, board), _)| {
        for round in 0..10 {
            board.add(round);
            barrier.wait().unwrap();
            assert_eq!(board.get(round), N);
        }
    });
    assert_eq!((barrier.waiting().unwrap(), barrier.is_broken().unwrap()), (0, false));
}

/// test_wait_return: each number once.
fn wait_return(mode: Mode) {
    let (.., board) = parties(mode, |((barrier, _, board), _)| {
        board.add(barrier.wait().unwrap() as u32);
    });
    assert!((0..N).all(|i| board.get(i) == 1));
}

/// test_action: run by exactly one, before anybody goes on.
fn action(mode: Mode) {
    parties(mode, |((barrier, _, board), _)| {
        for round in 1..=10 {
            let action = || assert_eq!(board.add(0), round - 1);
            barrier.wait_with(action).unwrap();
            assert_eq!(board.get(0), round);
            barrier.wait().unwrap();
        }
    });
}

fn action_panics(mode: Mode) {
    let (_manager, barrier, board) = parties(mode, |((barrier, _, board), _)| {
        let wait = || barrier.wait_with(|| panic!("as it should"));
        match catch_unwind(AssertUnwindSafe(wait)) {
            Err(_) => board.add(0),
            Ok(Err(Error::Broken)) => board.add(1),
            Ok(other) => panic!("{other:?}"),
        };
    });
    assert_eq!((board.get(0), board.get(1)), (1, N - 1));
    assert!(barrier.is_broken().unwrap());
}

/// test_abort
fn abort(mode: Mode) {
    let (_manager, barrier, _) = parties(mode, |((barrier, ..), i)| {
        if i == 0 {
            until_others_wait(&barrier);
            barrier.abort().unwrap();
        } else {
            assert!(matches!(barrier.wait(), Err(Error::Broken)));
        }
        assert!(barrier.is_broken().unwrap());
    });
    assert!(matches!(barrier.wait(), Err(Error::Broken)), "who comes later");
}

/// test_reset: those who wait are sent away, and the next meeting works.
fn reset(mode: Mode) {
    let (_manager, barrier, board) = parties(mode, |((barrier, _, board), i)| {
        barrier.wait().unwrap();
        if i == 0 {
            until_others_wait(&barrier);
            barrier.reset().unwrap();
        } else {
            assert!(matches!(barrier.wait(), Err(Error::Broken)));
            board.add(0);
        }
        barrier.wait().unwrap();
        board.add(1);
    });
    assert_eq!((board.get(0), board.get(1)), (N - 1, N));
    assert!(!barrier.is_broken().unwrap());
}

/// test_abort_and_reset
fn abort_and_reset(mode: Mode) {
    parties(mode, |((barrier, other, _), i)| {
        if i == 0 {
            until_others_wait(&barrier);
            barrier.abort().unwrap();
        } else {
            assert!(matches!(barrier.wait(), Err(Error::Broken)));
        }
        if other.wait().unwrap() == 0 {
            barrier.reset().unwrap();
            assert!(!barrier.is_broken().unwrap());
        }
        other.wait().unwrap();
        barrier.wait().unwrap();
    });
}

/// test_timeout, test_default_timeout: one never comes, all others are told.
fn timeout(mode: Mode) {
    let (_manager, barrier, board) = parties(mode, |((barrier, _, board), i)| {
        if i == 0 {
            return;
        }
        let start = Instant::now();
        match barrier.wait_timeout(SHORT) {
            Err(Error::TimedOut) => {
                assert!(start.elapsed() >= SHORT);
                board.add(0)
            }
            Err(Error::Broken) => board.add(1),
            other => panic!("{other:?}"),
        };
    });
    assert!(board.get(0) >= 1, "who gave up is told so");
    assert_eq!(board.get(0) + board.get(1), N - 1);
    assert!(barrier.is_broken().unwrap());
}

/// test_single_thread, and the limits.
fn single(_: Mode) {
    let manager = Manager::start().unwrap();
    let barrier = manager.barrier(1).unwrap();
    assert_eq!(barrier.parties().unwrap(), 1);
    assert_eq!((barrier.wait().unwrap(), barrier.wait().unwrap()), (0, 0));
    assert!(manager.barrier(0).is_err());
}

/// test_thousand: in lock step.
fn thousand(mode: Mode) {
    parties(mode, |((barrier, _, board), _)| {
        for round in 1..=1000 {
            board.add(0);
            barrier.wait().unwrap();
            assert_eq!(board.get(0), round * N);
            barrier.wait().unwrap();
        }
    });
}
