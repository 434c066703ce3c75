//! Lists of actions over four processes against naive models, as in `properties`; here they wait:
//! for an event, for goods in a shop (a mutex and a condvar), for one another at a barrier of two.
//!
//! Whoever waits is asleep before the next action is done, so the naive model knows who goes on.

use mp_sync::{Barrier, Condvar, Error, Event, LockError, Mutex, ReentrantMutex};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::crew::{Board, Member, Mode, tid, until};

pub(crate) const TESTS: &[(&str, fn())] = &[("waiters_against_models", waiters_against_models)];

const ACTORS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Op {
    Enter = 1,
    Leave,
    AwaitEvent,
    Set,
    Clear,
    Take,
    Give,
    Meet,
    Reset,
    Abort,
    Kill,
    Pause,
    GoOn,
}

const OPS: [Op; 13] = [
    Op::Enter,
    Op::Leave,
    Op::AwaitEvent,
    Op::Set,
    Op::Clear,
    Op::Take,
    Op::Give,
    Op::Meet,
    Op::Reset,
    Op::Abort,
    Op::Kill,
    Op::Pause,
    Op::GoOn,
];

const DONE: u32 = 1;
const OWNER_DIED: u32 = 2;
const WOULD_BLOCK: u32 = 3;
const BROKEN: u32 = 4;

// Places on the board, one for each actor: its order, its answer, its thread's id.
const ORDER: usize = 0;
const ANSWER: usize = 10;
const TID: usize = 20;

#[derive(Clone)]
struct Objects {
    reentrant: ReentrantMutex<u32>,
    event: Event,
    goods: Mutex<u32>,
    delivered: Condvar,
    barrier: Barrier,
    board: Board,
}

fn actor(me: usize, objects: &Objects) {
    let Objects { reentrant, event, goods, delivered, barrier, board } = objects;
    board.set(TID + me, tid());
    let mut inside = Vec::new();
    loop {
        until("an order", || board.get(ORDER + me) != 0);
        let op = OPS[board.get(ORDER + me) as usize - 1];
        board.set(ORDER + me, 0);
        let mut answer = DONE;
        match op {
            Op::Enter => match reentrant.try_lock() {
                Ok(guard) => inside.push(guard),
                Err(LockError::OwnerDied(guard)) => {
                    inside.push(guard);
                    answer = OWNER_DIED;
                }
                Err(LockError::Failed(error)) => {
                    assert_eq!(error, Error::WouldBlock);
                    answer = WOULD_BLOCK;
                }
            },
            Op::Leave => drop(inside.pop()),
            Op::AwaitEvent => event.wait().unwrap(),
            Op::Set => event.set(),
            Op::Clear => event.clear(),
            Op::Take => {
                // Whoever was killed while it looked at the goods has taken none.
                let mut guard = goods.lock().or_else(LockError::recover).unwrap();
                while *guard == 0 {
                    let woken = delivered.wait_while(guard, |goods| **goods == 0);
                    guard = woken.or_else(LockError::recover).unwrap();
                }
                *guard -= 1;
            }
            Op::Give => {
                *goods.lock().or_else(LockError::recover).unwrap() += 1;
                delivered.notify_one();
            }
            Op::Meet => match barrier.wait() {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error, Error::Broken);
                    answer = BROKEN;
                }
            },
            Op::Reset => barrier.reset(),
            Op::Abort => barrier.abort(),
            Op::Kill | Op::Pause | Op::GoOn => unreachable!("done to it, not by it"),
        }
        for guard in &inside {
            assert_eq!(guard.count() as usize, inside.len());
        }
        board.set(ANSWER + me, answer);
    }
}

/// What the objects should be, in the plainest words.
#[derive(Default)]
struct Model {
    owner: Option<usize>,
    count: usize,
    owner_died: bool,
    set: bool,
    goods: usize,
    broken: bool,
    waits: [Option<Op>; ACTORS],
    paused: [bool; ACTORS],
}

impl Model {
    fn waiting(&self, op: Op) -> Vec<usize> {
        (0..ACTORS).filter(|&who| self.waits[who] == Some(op)).collect()
    }

    /// Those who wait at the barrier go on with `answer`.
    fn dismiss(&self, due: &mut Vec<(usize, u32)>, answer: u32) {
        due.extend(self.waiting(Op::Meet).into_iter().map(|who| (who, answer)));
    }

    /// The answers that come of it, and whether it makes sense now. Changes the model.
    fn act(&mut self, who: usize, op: Op) -> Option<Vec<(usize, u32)>> {
        let mut due = vec![(who, DONE)];
        match op {
            Op::Enter if self.owner.is_some_and(|owner| owner != who) => due[0].1 = WOULD_BLOCK,
            Op::Enter => {
                (self.owner, self.count) = (Some(who), self.count + 1);
                if std::mem::take(&mut self.owner_died) {
                    due[0].1 = OWNER_DIED;
                }
            }
            Op::Leave if self.owner != Some(who) => return None,
            Op::Leave => {
                self.count -= 1;
                self.owner = self.owner.filter(|_| self.count > 0);
            }
            Op::AwaitEvent if self.set => {}
            Op::Set => {
                self.set = true;
                due.extend(self.waiting(Op::AwaitEvent).into_iter().map(|who| (who, DONE)));
            }
            Op::Clear => self.set = false,
            Op::Give => self.goods += 1,
            Op::Meet if self.broken => due[0].1 = BROKEN,
            Op::Meet if !self.waiting(Op::Meet).is_empty() => self.dismiss(&mut due, DONE),
            Op::Reset | Op::Abort => {
                self.broken = op == Op::Abort;
                self.dismiss(&mut due, BROKEN);
            }
            // Whether there are goods is settled below, for all who want some.
            Op::AwaitEvent | Op::Meet | Op::Take => {
                self.waits[who] = Some(op);
                due.clear();
            }
            Op::Kill | Op::Pause | Op::GoOn => return None,
        }
        Some(due)
    }

    fn kill(&mut self, who: usize) -> Vec<(usize, u32)> {
        let mut due = Vec::new();
        if self.owner == Some(who) {
            (self.owner, self.count, self.owner_died) = (None, 0, true);
        }
        if self.waits[who].take() == Some(Op::Meet) {
            self.broken = true;
            self.dismiss(&mut due, BROKEN);
        }
        self.paused[who] = false;
        due
    }
}

fn start(who: usize, objects: &Objects) -> Member {
    let objects = objects.clone();
    Mode::Processes.spawn(move || actor(who, &objects))
}

struct Run {
    objects: Objects,
    model: Model,
    actors: Vec<Member>,
    /// What those will answer who are paused.
    owed: [Option<u32>; ACTORS],
}

impl Run {
    fn new() -> Run {
        let objects = Objects {
            reentrant: ReentrantMutex::new(0).unwrap(),
            event: Event::new().unwrap(),
            goods: Mutex::new(0).unwrap(),
            delivered: Condvar::new().unwrap(),
            barrier: Barrier::new(2).unwrap(),
            board: Board::new(),
        };
        let actors = (0..ACTORS).map(|who| start(who, &objects)).collect();
        Run { objects, model: Model::default(), actors, owed: [None; ACTORS] }
    }

    fn order(&mut self, who: usize, op: Op) {
        let (model, board) = (&mut self.model, &self.objects.board);
        let waits = model.waits[who];
        let due = match op {
            Op::Kill => {
                self.actors.remove(who).kill();
                board.set(ORDER + who, 0);
                self.actors.insert(who, start(who, &self.objects));
                self.owed[who] = None;
                model.kill(who)
            }
            // Elsewhere a pause may hit one who has woken for a look, with what others want.
            Op::Pause if [None, Some(Op::AwaitEvent)].contains(&waits) => {
                self.actors[who].stop();
                model.paused[who] = true;
                return;
            }
            Op::GoOn => {
                self.actors[who].go_on();
                model.paused[who] = false;
                self.owed[who].take().map(|answer| (who, answer)).into_iter().collect()
            }
            _ if model.paused[who] || waits.is_some() => return,
            _ => {
                let Some(due) = model.act(who, op) else { return };
                board.set(ORDER + who, op as u32);
                until("an order is taken", || board.get(ORDER + who) == 0);
                if model.waits[who].is_some() {
                    until("an answer, or sleep", || {
                        board.get(ANSWER + who) != 0 || board.is_asleep(TID + who)
                    });
                }
                due
            }
        };
        self.settle(due);
    }

    /// All who are due to answer do, and nobody else.
    fn settle(&mut self, due: Vec<(usize, u32)>) {
        let (model, board) = (&mut self.model, &self.objects.board);
        for (who, expected) in due {
            model.waits[who] = None;
            if model.paused[who] {
                self.owed[who] = Some(expected);
                continue;
            }
            until("an answer", || board.get(ANSWER + who) != 0);
            assert_eq!(board.get(ANSWER + who), expected, "to {who}");
            board.set(ANSWER + who, 0);
        }
        let takers = model.waiting(Op::Take);
        let happy = takers.len().min(model.goods);
        let answered = || takers.iter().filter(|&&who| board.get(ANSWER + who) != 0);
        until("goods are taken", || answered().count() >= happy);
        let answered: Vec<usize> = answered().copied().collect();
        assert_eq!(answered.len(), happy, "goods for {happy}");
        model.goods -= happy;
        for who in answered {
            (model.waits[who], _) = (None, board.set(ANSWER + who, 0));
        }
        let silent = (0..ACTORS).all(|who| board.get(ANSWER + who) == 0);
        assert!(silent, "somebody goes on in vain");
        let Objects { reentrant, event, barrier, .. } = &self.objects;
        assert_eq!(reentrant.is_locked(), model.owner.is_some());
        assert_eq!(event.is_set(), model.set);
        assert_eq!(barrier.is_broken(), model.broken);
        assert_eq!(barrier.waiting(), model.waiting(Op::Meet).len());
    }
}

fn waiters_against_models() {
    let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
    let actions = prop::collection::vec((0..ACTORS, select(&OPS[..])), 1..80);
    let result = TestRunner::new(config).run(&actions, |actions| {
        let mut run = Run::new();
        for (who, op) in actions {
            run.order(who, op);
        }
        run.actors.into_iter().for_each(Member::kill);
        Ok(())
    });
    result.unwrap();
}
