//! A holder dies at each point of the protocol, in each way that there is.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use mp_sys::robust::{List, Node, OWNER_DIED, TID_MASK, WAITERS};
use mp_sys::{Errno, futex};

use crate::child::{Child, die, soon, until};
use crate::shared::{lock, lock_free, owner_died, shared, unlink, unlock};

#[repr(C)]
struct Pair {
    node: Node,
    step: AtomicU32,
}

pub(crate) fn a_killed_holder_is_told_to_a_waiter() {
    let mut took: Vec<Duration> = (0..50).map(|_| one_kill()).collect();
    took.sort();
    let (half, most) = (took[took.len() / 2], took[took.len() - 1]);
    eprintln!("kill -9 to a woken waiter, 50 times: half within {half:?}, all within {most:?}");
    assert!(half < Duration::from_millis(100));
}

fn one_kill() -> Duration {
    let pair: &Pair = shared();
    let child = Child::start(|| {
        lock_free(&pair.node);
        pair.step.store(1, Release);
        until(|| false);
    });
    until(|| pair.step.load(Acquire) == 1);
    let held = pair.node.word().fetch_or(WAITERS, Relaxed) | WAITERS;
    let start = Instant::now();
    child.kill();
    while pair.node.word().load(Acquire) == held {
        assert_eq!(futex::wait(pair.node.word(), held, soon()), Ok(()));
    }
    let took = start.elapsed();
    let seen = pair.node.word().load(Acquire);
    assert_eq!((seen & TID_MASK, seen & OWNER_DIED), (0, OWNER_DIED));
    assert!(lock(&pair.node), "it is the next one's, who is told");
    unlock(&pair.node);
    assert!(!lock(&pair.node), "once");
    unlock(&pair.node);
    took
}

pub(crate) fn between_taking_and_linking() {
    let pair: &Pair = shared();
    Child::start(|| {
        let list = List::current().unwrap();
        list.announce(&pair.node);
        pair.node.word().store(list.tid(), Release);
        die();
    })
    .status();
    assert!(owner_died(&pair.node));
}

pub(crate) fn between_releasing_and_waking() {
    let pair: &Pair = shared();
    let mut child = Child::start(|| {
        lock_free(&pair.node);
        pair.step.store(1, Release);
        until(|| pair.step.load(Acquire) == 3);
        let list = List::current().unwrap();
        list.announce(&pair.node);
        unlink(list, &pair.node);
        pair.node.word().store(0, Release);
        die();
    });
    until(|| pair.step.load(Acquire) == 1);
    let waiter = Child::start(|| {
        let held = pair.node.word().fetch_or(WAITERS, Relaxed) | WAITERS;
        pair.step.store(2, Release);
        // Not the value that changes ends this wait, if it sleeps by then, but the kernel's wake.
        assert_ne!(futex::wait(pair.node.word(), held, soon()), Err(Errno::TIMEDOUT));
        assert!(!lock(&pair.node), "it was free");
        unlock(&pair.node);
    });
    until(|| pair.step.load(Acquire) == 2);
    // Long enough for the waiter to sleep; if it does not yet, the value sends it on.
    std::thread::sleep(Duration::from_millis(50));
    pair.step.store(3, Release);
    child.status();
    waiter.join();
}

pub(crate) fn a_thread_that_ends() {
    let pair: &Pair = shared();
    Child::start(|| {
        std::thread::spawn(|| lock_free(&pair.node)).join().unwrap();
        until(|| owner_died(&pair.node));
        assert_eq!(List::current().unwrap().held(), 0);
    })
    .join();
}

/// `execve` ends the program that held the lock, though the process lives on.
pub(crate) fn a_program_that_is_replaced() {
    let pair: &Pair = shared();
    let _child = Child::start(|| {
        lock_free(&pair.node);
        panic!("{}", Command::new("sleep").arg("60").exec());
    });
    until(|| owner_died(&pair.node));
}

pub(crate) fn a_forked_child_holds_nothing() {
    let pair: &Pair = shared();
    let second: &Pair = shared();
    lock_free(&pair.node);
    lock_free(&second.node);
    let mine = List::current().unwrap();
    let count = mine.held();
    assert!(count == 1 || count == 2, "one may go uncounted");
    let held = pair.node.word().load(Relaxed);
    Child::start(|| {
        let list = List::current().unwrap();
        assert_eq!(list.held(), 0);
        assert_ne!(list.tid(), mine.tid());
        let own: &Pair = shared();
        lock_free(&own.node);
        unlock(&own.node);
        die();
    })
    .status();
    assert_eq!(pair.node.word().load(Relaxed), held, "still ours");
    assert_eq!(List::current().unwrap().held(), count);
    unlock(&pair.node);
    unlock(&second.node);
}
