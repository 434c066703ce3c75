//! What CPython's tests assert of `Barrier`.

use std::time::{Duration, Instant};

use mp_sync::{Barrier, Error};

use crate::Body;
use crate::crew::{Board, Mode, join, until};

const N: usize = 5;
const SHORT: Duration = Duration::from_millis(40);

pub(crate) const BODIES: &[Body] = &[
    ("barrier", barrier),
    ("barrier_wait_return", wait_return),
    ("barrier_action", action),
    ("barrier_action_panics", action_panics),
    ("barrier_abort", abort),
    ("barrier_reset", reset),
    ("barrier_abort_and_reset", abort_and_reset),
    ("barrier_timeout", timeout),
    ("barrier_default_timeout", default_timeout),
    ("barrier_single", single),
    ("barrier_thousand", thousand),
];

/// Lets N parties run `f`.
fn parties(
    mode: Mode,
    barrier: &Barrier,
    f: impl FnOnce(&Barrier, usize) + Send + Clone + 'static,
) {
    let barrier = barrier.clone();
    join(mode.spawn_each(N, move |i| f(&barrier, i)));
}

/// test_barrier, test_barrier_10
fn barrier(mode: Mode) {
    let (barrier, board) = (Barrier::new(N).unwrap(), Board::new());
    let all = board.clone();
    parties(mode, &barrier, move |barrier, _| {
        for round in 0..10 {
            all.add(round);
            barrier.wait().unwrap();
            assert_eq!(all.get(round), N as u32);
        }
    });
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
}

/// test_wait_return: each number once.
fn wait_return(mode: Mode) {
    let (barrier, board) = (Barrier::new(N).unwrap(), Board::new());
    let all = board.clone();
    parties(mode, &barrier, move |barrier, _| {
        all.add(barrier.wait().unwrap());
    });
    assert!((0..N).all(|i| board.get(i) == 1));
}

/// test_action: run by exactly one, before anybody goes on.
fn action(mode: Mode) {
    let (barrier, board) = (Barrier::new(N).unwrap(), Board::new());
    let all = board.clone();
    parties(mode, &barrier, move |barrier, _| {
        let action = || {
            all.add(0);
        };
        barrier.wait_with(action).unwrap();
        assert_eq!(all.get(0), 1);
    });
}

fn action_panics(mode: Mode) {
    std::panic::set_hook(Box::new(|_| ()));
    let (barrier, board) = (Barrier::new(N).unwrap(), Board::new());
    let all = board.clone();
    parties(mode, &barrier, move |barrier, _| {
        let wait = || barrier.wait_with(|| panic!("action"));
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait)) {
            Err(_) => all.add(0),
            Ok(result) => {
                assert_eq!(result, Err(Error::Broken));
                all.add(1)
            }
        };
    });
    let _ = std::panic::take_hook();
    assert_eq!((board.get(0), board.get(1)), (1, N as u32 - 1));
    assert!(barrier.is_broken());
}

/// test_abort
fn abort(mode: Mode) {
    let barrier = Barrier::new(N).unwrap();
    parties(mode, &barrier, |barrier, i| {
        if i == 0 {
            until("the others wait", || barrier.waiting() == N - 1);
            barrier.abort();
        } else {
            assert_eq!(barrier.wait(), Err(Error::Broken));
        }
        assert!(barrier.is_broken());
    });
    assert_eq!(barrier.wait(), Err(Error::Broken), "who comes later");
}

/// test_reset: those who wait are sent away, and the next meeting works.
fn reset(mode: Mode) {
    let (barrier, board) = (Barrier::new(N).unwrap(), Board::new());
    let all = board.clone();
    parties(mode, &barrier, move |barrier, i| {
        barrier.wait().unwrap();
        if i == 0 {
            until("the others wait", || barrier.waiting() == N - 1);
            barrier.reset();
        } else {
            assert_eq!(barrier.wait(), Err(Error::Broken));
            all.add(0);
        }
        barrier.wait().unwrap();
        all.add(1);
    });
    assert_eq!((board.get(0), board.get(1)), (N as u32 - 1, N as u32));
    assert!(!barrier.is_broken());
}

/// test_abort_and_reset
fn abort_and_reset(mode: Mode) {
    let (barrier, other) = (Barrier::new(N).unwrap(), Barrier::new(N).unwrap());
    parties(mode, &barrier, move |barrier, i| {
        if i == 0 {
            until("the others wait", || barrier.waiting() == N - 1);
            barrier.abort();
        } else {
            assert_eq!(barrier.wait(), Err(Error::Broken));
        }
        if other.wait().unwrap() == 0 {
            barrier.reset();
            assert!(!barrier.is_broken());
        }
        other.wait().unwrap();
        barrier.wait().unwrap();
    });
}

/// test_timeout: one gives up, all are told.
fn timeout(mode: Mode) {
    let (barrier, board) = (Barrier::new(N).unwrap(), Board::new());
    let all = board.clone();
    parties(mode, &barrier, move |barrier, i| {
        if i == 0 {
            return; // Never comes.
        }
        let start = Instant::now();
        match barrier.wait_timeout(SHORT) {
            Err(Error::TimedOut) => {
                assert!(start.elapsed() >= SHORT);
                all.add(0)
            }
            result => {
                assert_eq!(result, Err(Error::Broken));
                all.add(1)
            }
        };
    });
    assert!(board.get(0) >= 1, "who gave up is told so");
    assert_eq!(board.get(0) + board.get(1), N as u32 - 1);
    assert!(barrier.is_broken());
}

/// test_default_timeout
fn default_timeout(mode: Mode) {
    let barrier = Barrier::with_timeout(N, SHORT).unwrap();
    parties(mode, &barrier, |barrier, i| {
        if i > 0 {
            assert!(matches!(barrier.wait(), Err(Error::TimedOut | Error::Broken)));
        }
    });
    assert!(barrier.is_broken());
}

/// test_single_thread, and the limits.
fn single(_: Mode) {
    let barrier = Barrier::new(1).unwrap();
    assert_eq!(barrier.parties(), 1);
    assert_eq!((barrier.wait(), barrier.wait()), (Ok(0), Ok(0)));
    assert!(matches!(Barrier::new(0), Err(Error::Parties { parties: 0, .. })));
    assert!(matches!(Barrier::new(257), Err(Error::Parties { max: 256, .. })));
}

/// test_thousand: in lock step.
fn thousand(mode: Mode) {
    let (barrier, board) = (Barrier::new(N).unwrap(), Board::new());
    let all = board.clone();
    parties(mode, &barrier, move |barrier, _| {
        for round in 1..=1000 {
            all.add(0);
            barrier.wait().unwrap();
            assert_eq!(all.get(0), round * N as u32);
            barrier.wait().unwrap();
        }
    });
}
