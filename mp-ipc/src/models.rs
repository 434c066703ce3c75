//! loom explores the queue's commits and waits: every order of every two or three threads.
//!
//! A lost wake is a deadlock here, since the model has no ticks. The robust locks are loom's
//! mutexes; what the records hold is not modelled, only that they are written before the commit.

use std::sync::atomic::Ordering;

use loom::sync::atomic::AtomicU32 as Word;
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::raw::bell::{Bell, Listener};

const ROOM: usize = 2;

struct Model {
    room: u32,
    put: Mutex<()>,
    tail: Word,
    news: Bell,
    get: Mutex<()>,
    head: Word,
    /// Rung by gets. Only where there is one, so that the model stays small.
    freed: Option<Bell>,
    /// Relaxed: only the commits order them, and a value read too early is 0.
    records: [Word; ROOM],
    closed: Word,
}

impl Model {
    fn new(room: u32, freed: Option<Bell>) -> Arc<Model> {
        Arc::new(Model {
            room,
            put: Mutex::new(()),
            tail: Word::new(0),
            news: Bell::new(),
            get: Mutex::new(()),
            head: Word::new(0),
            freed,
            records: [Word::new(0), Word::new(0)],
            closed: Word::new(0),
        })
    }

    fn put(&self, value: u32) {
        loop {
            let turn = self.put.lock().unwrap();
            let tail = self.tail.load(Ordering::Relaxed);
            if tail - self.head.load(Ordering::Acquire) < self.room {
                self.records[tail as usize % ROOM].store(value, Ordering::Relaxed);
                self.tail.store(tail + 1, Ordering::Release);
                drop(turn);
                self.news.ring(1);
                return;
            }
            drop(turn);
            let Some(freed) = &self.freed else { panic!("no room, and nobody to wait for") };
            let heard = freed.listen(Listener::Any);
            let room = self.tail.load(Ordering::Acquire) - self.head.load(Ordering::Acquire);
            if room >= self.room {
                freed.sleep(heard, None).unwrap();
            }
        }
    }

    fn has_news(&self) -> bool {
        self.tail.load(Ordering::Acquire) != self.head.load(Ordering::Acquire)
            || self.closed.load(Ordering::Acquire) != 0
    }

    fn get(&self) -> Option<u32> {
        let mut slept = false;
        loop {
            let turn = self.get.lock().unwrap();
            let head = self.head.load(Ordering::Relaxed);
            if head != self.tail.load(Ordering::Acquire) {
                let value = self.records[head as usize % ROOM].load(Ordering::Relaxed);
                self.head.store(head + 1, Ordering::Release);
                drop(turn);
                if let Some(freed) = &self.freed {
                    freed.ring(1);
                }
                if slept {
                    self.news.pass_on(|| self.has_news());
                }
                return Some(value);
            }
            drop(turn);
            if self.closed.load(Ordering::Acquire) != 0 {
                return None;
            }
            let heard = self.news.listen(Listener::Any);
            slept = true;
            if !self.has_news() {
                self.news.sleep(heard, None).unwrap();
            }
        }
    }
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_sleeper_hears_of_every_item() {
    explore(|| {
        let queue = Model::new(2, None);
        let there = queue.clone();
        let getter = thread::spawn(move || (there.get(), there.get()));
        queue.put(7);
        queue.put(8);
        assert_eq!(getter.join().unwrap(), (Some(7), Some(8)));
    });
}

#[test]
fn two_sleepers_get_two_items() {
    explore(|| {
        let queue = Model::new(2, None);
        let getters = [0; 2].map(|_| {
            let there = queue.clone();
            thread::spawn(move || there.get().unwrap())
        });
        queue.put(1);
        queue.put(2);
        let sum: u32 = getters.into_iter().map(|getter| getter.join().unwrap()).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn a_sleeper_hears_of_the_end() {
    explore(|| {
        let queue = Model::new(2, None);
        let there = queue.clone();
        let getter = thread::spawn(move || there.get());
        queue.closed.store(1, Ordering::Release);
        queue.news.ring_all();
        assert_eq!(getter.join().unwrap(), None);
    });
}

#[test]
fn a_sleeper_hears_of_room() {
    explore(|| {
        let queue = Model::new(1, Some(Bell::new()));
        let there = queue.clone();
        let getter = thread::spawn(move || (there.get(), there.get()));
        queue.put(7);
        queue.put(8);
        assert_eq!(getter.join().unwrap(), (Some(7), Some(8)));
    });
}
