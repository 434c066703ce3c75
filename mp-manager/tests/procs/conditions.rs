//! What CPython's tests assert of `Condition`.

use std::time::{Duration, Instant};

use mp_manager::{Condition, Manager, RLock, Value, Waited};

use crate::Body;
use crate::crew::{Board, Member, Mode, SHORT, join};

const LONG: Duration = Duration::from_secs(20);
/// Where the board counts those who have woken.
const WOKEN: u32 = 60;

pub(crate) const BODIES: &[Body] = &[
    ("condition_notify", notify),
    ("condition_notify_all", notify_all),
    ("condition_notify_n", notify_n),
    ("condition_timeout", timeout),
    ("condition_wait_for", wait_for),
    ("condition_wait_for_timeout", wait_for_timeout),
    ("condition_wait_result", wait_result),
    ("condition_restores_a_recursive_hold", restores_a_recursive_hold),
];

struct Set {
    manager: Manager,
    condition: Condition,
    board: Board,
}

fn set() -> Set {
    let manager = Manager::start().unwrap();
    Set { condition: manager.condition().unwrap(), board: Board::new(), manager }
}

impl Set {
    /// Waiters that are all asleep when this returns.
    fn sleepers(&self, mode: Mode, places: std::ops::Range<u32>, time: Duration) -> Vec<Member> {
        let party =
            |((condition, board, first, time), i): ((Condition, Board, u32, Duration), u32)| {
                let mut guard = condition.lock().unwrap();
                board.sleeper(first + i);
                let waited = guard.wait_timeout(time).unwrap();
                assert_eq!(waited, if time == LONG { Waited::Notified } else { Waited::TimedOut });
                drop(guard);
                board.add(WOKEN);
            };
        let args = (self.condition.clone(), self.board.clone(), places.start, time);
        let members = mode.run_each(places.len() as u32, party, &args);
        self.board.until_asleep(places, &self.manager);
        members
    }

    fn notify(&self, count: usize) -> usize {
        self.condition.lock().unwrap().notify(count).unwrap()
    }

    fn woken(&self) -> u32 {
        self.board.get(WOKEN)
    }
}

/// test_notify
fn notify(mode: Mode) {
    let set = set();
    assert_eq!(set.notify(1), 0, "nobody is there, and nobody will hear of it later");
    let waiters = set.sleepers(mode, 0..2, LONG);
    assert_eq!(set.woken(), 0);
    assert!(set.condition.lock().unwrap().notify_one().unwrap());
    set.board.until(WOKEN, 1);
    std::thread::sleep(SHORT);
    assert_eq!(set.woken(), 1, "one notification, one waiter");
    assert_eq!(set.notify(1), 1);
    join(waiters);
    assert!(!set.condition.lock().unwrap().notify_one().unwrap());
}

/// test_notify_all: waiters with a timeout come first and are gone when it is called.
fn notify_all(mode: Mode) {
    let set = set();
    join(set.sleepers(mode, 0..3, Duration::from_millis(200)));
    assert_eq!(set.woken(), 3);
    let waiters = set.sleepers(mode, 3..9, LONG);
    assert_eq!(set.condition.lock().unwrap().notify_all().unwrap(), 6, "the late do not count");
    join(waiters);
    assert_eq!(set.woken(), 9);
}

/// test_notify_n: 2, then 4, then 3 of nobody.
fn notify_n(mode: Mode) {
    let set = set();
    let waiters = set.sleepers(mode, 0..6, LONG);
    assert_eq!(set.notify(2), 2);
    set.board.until(WOKEN, 2);
    std::thread::sleep(SHORT);
    assert_eq!(set.woken(), 2);
    assert_eq!(set.notify(4), 4);
    join(waiters);
    assert_eq!(set.notify(3), 0);
    join(set.sleepers(mode, 6..7, SHORT * 3));
}

/// test_timeout
fn timeout(_: Mode) {
    let set = set();
    let start = Instant::now();
    let mut guard = set.condition.lock().unwrap();
    assert_eq!(guard.wait_timeout(SHORT).unwrap(), Waited::TimedOut);
    assert!(start.elapsed() >= SHORT);
    assert!(!guard.wait_for_timeout(Duration::ZERO, || Ok(false)).unwrap());
}

/// test_waitfor
fn wait_for(mode: Mode) {
    let set = set();
    let count = set.manager.value(&0_u32).unwrap();
    let other = |(condition, count): (Condition, Value<u32>)| {
        for _ in 0..4 {
            let mut guard = condition.lock().unwrap();
            count.update(|n| n + 1).unwrap();
            guard.notify_one().unwrap();
        }
    };
    let other = mode.run(other, &(set.condition.clone(), count.clone()));
    let mut guard = set.condition.lock().unwrap();
    guard.wait_for(|| Ok(count.get()? == 4)).unwrap();
    drop(guard);
    other.join();
}

/// test_waitfor_timeout: woken three times, and never true.
fn wait_for_timeout(mode: Mode) {
    let set = set();
    let notifier = |(condition, board): (Condition, Board)| {
        board.until(0, 1);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(10));
            condition.lock().unwrap().notify_one().unwrap();
        }
    };
    let notifier = mode.run(notifier, &(set.condition.clone(), set.board.clone()));
    let mut guard = set.condition.lock().unwrap();
    set.board.set(0, 1);
    let (start, total) = (Instant::now(), Duration::from_millis(100));
    assert!(!guard.wait_for_timeout(total, || Ok(false)).unwrap());
    assert!(start.elapsed() >= total);
    drop(guard);
    notifier.join();
}

/// test_wait_result
fn wait_result(mode: Mode) {
    let set = set();
    let mut guard = set.condition.lock().unwrap();
    let notifier = |condition: Condition| {
        // The other one has begun to wait, or the lock could not be had.
        condition.lock().unwrap().notify_all().unwrap();
    };
    let notifier = mode.run(notifier, &set.condition);
    assert_eq!(guard.wait_timeout(LONG).unwrap(), Waited::Notified);
    notifier.join();
    assert_eq!(guard.wait_timeout(SHORT).unwrap(), Waited::TimedOut);
}

fn restores_a_recursive_hold(mode: Mode) {
    let manager = Manager::start().unwrap();
    let lock = manager.rlock().unwrap();
    let condition = lock.condition().unwrap();
    let outer = lock.lock().unwrap();
    let mut inner = condition.lock().unwrap();
    // Only possible if the wait has released both holds.
    let other = |condition: Condition| assert!(condition.lock().unwrap().notify_one().unwrap());
    let other = mode.run(other, &condition);
    assert_eq!(inner.wait_timeout(LONG).unwrap(), Waited::Notified);
    other.join();
    drop(inner);
    let busy = |lock: RLock| assert!(lock.try_lock().is_err(), "held once more");
    mode.run(busy, &lock).join();
    drop(outer);
    assert!(!lock.is_locked().unwrap());
}
