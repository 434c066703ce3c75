//! Lists of actions over three processes, death and pause included, against naive models.
//!
//! Each actor is a process that does one thing at a time, as it is told over the board, and says
//! what came of it. No action waits, so the naive model knows every answer.

use mp_sync::{
    Error, LockError, Mutex, Permit, RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::crew::{Board, Member, Mode, until};

pub(crate) const TESTS: &[(&str, fn())] = &[("actions_against_models", actions_against_models)];

const ACTORS: usize = 3;
const PERMITS: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Op {
    Lock = 1,
    Unlock,
    Read,
    EndRead,
    Write,
    EndWrite,
    Acquire,
    GiveBack,
    Forget,
    Release,
    Kill,
    Pause,
    GoOn,
}

const OPS: [Op; 13] = [
    Op::Lock,
    Op::Unlock,
    Op::Read,
    Op::EndRead,
    Op::Write,
    Op::EndWrite,
    Op::Acquire,
    Op::GiveBack,
    Op::Forget,
    Op::Release,
    Op::Kill,
    Op::Pause,
    Op::GoOn,
];

const DONE: u32 = 1;
const OWNER_DIED: u32 = 2;
const WOULD_BLOCK: u32 = 3;

#[derive(Clone)]
struct Objects {
    mutex: Mutex<u32>,
    lock: RwLock<u32>,
    semaphore: Semaphore,
    board: Board,
}

/// What one actor holds.
#[derive(Default)]
struct Held<'a> {
    mutex: Option<mp_sync::MutexGuard<'a, u32>>,
    read: Option<RwLockReadGuard<'a, u32>>,
    write: Option<RwLockWriteGuard<'a, u32>>,
    permits: Vec<Permit<'a>>,
}

/// Puts the guard, if there is one, where it belongs.
fn keep<G>(result: Result<G, LockError<G>>, place: &mut Option<G>) -> u32 {
    match result {
        Ok(guard) => {
            *place = Some(guard);
            DONE
        }
        Err(LockError::OwnerDied(guard)) => {
            *place = Some(guard);
            OWNER_DIED
        }
        Err(LockError::Failed(Error::WouldBlock)) => WOULD_BLOCK,
        Err(LockError::Failed(error)) => panic!("{error}"),
    }
}

/// Obeys: the order stands at `me`, the answer goes to `me + 10`.
fn actor(me: usize, objects: &Objects) {
    let mut held = Held::default();
    loop {
        until("an order", || objects.board.get(me) != 0);
        let op = OPS[objects.board.get(me) as usize - 1];
        objects.board.set(me, 0);
        let answer = match op {
            Op::Lock => keep(objects.mutex.try_lock(), &mut held.mutex),
            Op::Read => keep(objects.lock.try_read(), &mut held.read),
            Op::Write => keep(objects.lock.try_write(), &mut held.write),
            Op::Acquire => match objects.semaphore.try_acquire() {
                Ok(permit) => {
                    held.permits.push(permit);
                    DONE
                }
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock);
                    WOULD_BLOCK
                }
            },
            other => {
                match other {
                    Op::Unlock => held.mutex = None,
                    Op::EndRead => held.read = None,
                    Op::EndWrite => held.write = None,
                    Op::GiveBack => drop(held.permits.pop()),
                    Op::Forget => held.permits.pop().unwrap().forget(),
                    _ => objects.semaphore.release(1).unwrap(),
                }
                DONE
            }
        };
        objects.board.set(me + 10, answer);
    }
}

/// What the objects should be, in the plainest words.
#[derive(Default)]
struct Model {
    mutex: Option<usize>,
    mutex_died: bool,
    writer: Option<usize>,
    writer_died: bool,
    readers: [bool; ACTORS],
    permits: [u32; ACTORS],
    total: u32,
    paused: [bool; ACTORS],
}

impl Model {
    /// Whether the action makes sense now, and which answer it gets. Changes the model.
    fn act(&mut self, who: usize, op: Op) -> Option<u32> {
        let told = |died: &mut bool| if std::mem::take(died) { OWNER_DIED } else { DONE };
        match op {
            Op::Lock if self.mutex.is_some() => Some(WOULD_BLOCK),
            Op::Lock => {
                self.mutex = Some(who);
                Some(told(&mut self.mutex_died))
            }
            Op::Unlock => (self.mutex == Some(who)).then(|| self.mutex = None).map(|()| DONE),
            Op::Read if self.readers[who] => None,
            Op::Read if self.writer.is_some() => Some(WOULD_BLOCK),
            Op::Read => {
                self.readers[who] = true;
                Some(if self.writer_died { OWNER_DIED } else { DONE })
            }
            Op::EndRead => std::mem::take(&mut self.readers[who]).then_some(DONE),
            Op::Write if self.writer.is_some() || self.readers.contains(&true) => Some(WOULD_BLOCK),
            Op::Write => {
                self.writer = Some(who);
                Some(told(&mut self.writer_died))
            }
            Op::EndWrite => (self.writer == Some(who)).then(|| self.writer = None).map(|()| DONE),
            Op::Acquire if self.value() == 0 => Some(WOULD_BLOCK),
            Op::Acquire => {
                self.permits[who] += 1;
                Some(DONE)
            }
            Op::GiveBack | Op::Forget if self.permits[who] == 0 => None,
            Op::GiveBack => {
                self.permits[who] -= 1;
                Some(DONE)
            }
            Op::Forget => {
                self.permits[who] -= 1;
                self.total -= 1;
                Some(DONE)
            }
            Op::Release => {
                self.total += 1;
                Some(DONE)
            }
            Op::Kill | Op::Pause | Op::GoOn => None,
        }
    }

    fn kill(&mut self, who: usize) {
        if self.mutex == Some(who) {
            (self.mutex, self.mutex_died) = (None, true);
        }
        if self.writer == Some(who) {
            (self.writer, self.writer_died) = (None, true);
        }
        (self.readers[who], self.permits[who], self.paused[who]) = (false, 0, false);
    }

    fn value(&self) -> u32 {
        self.total - self.permits.iter().sum::<u32>()
    }
}

fn start(who: usize, objects: &Objects) -> Member {
    let objects = objects.clone();
    Mode::Processes.spawn(move || actor(who, &objects))
}

fn run(actions: &[(usize, usize)]) {
    let objects = Objects {
        mutex: Mutex::new(0).unwrap(),
        lock: RwLock::new(0).unwrap(),
        semaphore: Semaphore::new(PERMITS).unwrap(),
        board: Board::new(),
    };
    let mut model = Model { total: PERMITS, ..Model::default() };
    let mut actors: Vec<Member> = (0..ACTORS).map(|who| start(who, &objects)).collect();
    for &(who, op) in actions {
        let op = OPS[op];
        match op {
            Op::Kill => {
                objects.board.set(who, 0);
                std::mem::replace(&mut actors[who], start(who, &objects)).kill();
                model.kill(who);
            }
            Op::Pause => {
                actors[who].stop();
                model.paused[who] = true;
            }
            Op::GoOn => {
                actors[who].go_on();
                model.paused[who] = false;
            }
            _ if model.paused[who] => {}
            _ => {
                let Some(expected) = model.act(who, op) else { continue };
                objects.board.set(who + 10, 0);
                objects.board.set(who, op as u32);
                until("an answer", || objects.board.get(who + 10) != 0);
                assert_eq!(objects.board.get(who + 10), expected, "{op:?} by {who}");
            }
        }
        assert_eq!(objects.mutex.is_locked(), model.mutex.is_some());
        assert_eq!(objects.semaphore.value(), model.value());
    }
    actors.into_iter().for_each(Member::kill);
}

fn actions_against_models() {
    let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
    let actions = prop::collection::vec((0..ACTORS, 0..OPS.len()), 1..60);
    let result = TestRunner::new(config).run(&actions, |actions| {
        run(&actions);
        Ok(())
    });
    result.unwrap();
}
