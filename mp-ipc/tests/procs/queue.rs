//! Queues between processes, some of which die or are paused at any instruction.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_ipc::{Connection, Error, Fd, JoinableQueue, Queue, pipe};
use mp_shm::{Kind, Placed, Region};
use mp_sys::pidfd::Status;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::child::Child;
use crate::trial;

const LONG: Duration = Duration::from_secs(20);
const SIDES: usize = 4;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_queue_reaches_a_child_and_back", a_queue_reaches_a_child_and_back),
        trial("what_put_returned_from_is_there", what_put_returned_from_is_there),
        trial("what_a_dead_producer_put_is_there", what_a_dead_producer_put_is_there),
        trial("closing_wakes_other_processes", closing_wakes_other_processes),
        trial("a_dead_consumers_lease_comes_back", a_dead_consumers_lease_comes_back),
        trial("join_reports_a_dead_consumer", join_reports_a_dead_consumer),
        trial("join_ends_if_another_consumer_takes_over", join_ends),
        trial("a_paused_process_delays_nobody_past_the_deadline", paused),
        trial("kills_lose_and_tear_nothing", || kills(Mode::Plain)),
        trial("kills_lose_nothing_at_all_with_leases", || kills(Mode::Lease)),
        trial("processes_with_deaths_are_a_vecdeque", model),
    ]
}

fn a_queue_reaches_a_child_and_back() {
    let there = Queue::<(u64, Queue<u64>)>::new(4).unwrap();
    let child = Child::run(|| {
        for item in &there {
            let (number, back) = item.unwrap();
            back.put(number * number).unwrap();
        }
    });
    let back = Queue::new(0).unwrap();
    for number in 0..1_000 {
        there.put((number, back.clone())).unwrap();
        assert_eq!(back.get_timeout(LONG).unwrap(), number * number);
    }
    there.close();
    child.succeed();
}

/// Python's queues say "empty" right after a put: <https://github.com/python/cpython/issues/87302>.
fn what_put_returned_from_is_there() {
    let queue = Queue::new(8).unwrap();
    let noise = Queue::<u32>::new(1).unwrap();
    let children: Vec<_> = (0..3)
        .map(|_| Child::run(|| while noise.put(1).is_ok() && noise.get_timeout(LONG).is_ok() {}))
        .collect();
    for round in 0..50_000 {
        queue.put(round).unwrap();
        assert!(queue.len() == 1 && !queue.is_empty() && !queue.is_full());
        assert_eq!(queue.try_get().unwrap(), round);
        assert!(queue.is_empty());
    }
    noise.close();
    children.into_iter().for_each(Child::succeed);
}

/// Python's producer cannot end before its items are taken: <https://github.com/python/cpython/issues/78321>.
fn what_a_dead_producer_put_is_there() {
    let queue = Queue::<ByteBuf>::new(0).unwrap();
    let producer = Child::run(|| {
        queue.put(vec![1; 1 << 20].into()).unwrap();
        queue.put(vec![2; 100 << 20].into()).unwrap();
    });
    producer.succeed();
    assert!(queue.get().unwrap().iter().all(|byte| *byte == 1));
    let long = queue.get().unwrap();
    assert!(long.len() == 100 << 20 && long.iter().all(|byte| *byte == 2));
}

fn closing_wakes_other_processes() {
    let empty = Queue::<u32>::new(1).unwrap();
    let full = Queue::new(1).unwrap();
    full.put(1).unwrap();
    let mut children = Vec::new();
    for _ in 0..2 {
        children.push(Child::run(|| assert!(matches!(empty.get(), Err(Error::Closed)))));
        children.push(Child::run(|| {
            assert!(matches!(full.put(2).unwrap_err().error(), Error::Closed));
        }));
    }
    std::thread::sleep(Duration::from_millis(20));
    let begin = Instant::now();
    empty.close();
    full.close();
    children.into_iter().for_each(Child::succeed);
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(full.get().unwrap(), 1);
}

fn a_dead_consumers_lease_comes_back() {
    let queue = Queue::new(0).unwrap();
    (0..3).for_each(|n| queue.put(n).unwrap());
    let (here, there) = pipe::<u32, u32>().unwrap();
    let consumer = Child::run(|| {
        let first = queue.get_lease().unwrap();
        let second = queue.get_lease().unwrap();
        there.send(&(*first + *second)).unwrap();
        let _: u32 = there.recv().unwrap();
    });
    assert_eq!(here.recv().unwrap(), 1);
    let third = queue.get_lease().unwrap();
    assert_eq!((*third, queue.len()), (2, 0));
    consumer.kill();
    consumer.join();
    for n in 0..2 {
        let again = queue.get_lease_timeout(LONG).unwrap();
        assert!(again.is_redelivered());
        assert_eq!(again.ack().unwrap(), n);
    }
    third.ack().unwrap();
    assert!(matches!(queue.try_get(), Err(Error::Empty)));
}

/// Python waits for ever here.
fn join_reports_a_dead_consumer() {
    let queue = JoinableQueue::new(0).unwrap();
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    let consumer = Child::run(|| {
        queue.get().unwrap();
        queue.task_done().unwrap();
        queue.get().unwrap();
    });
    consumer.succeed();
    let begin = Instant::now();
    assert!(matches!(queue.join(), Err(Error::ConsumerDied { items: 1 })));
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(queue.get().unwrap(), 2, "somebody else does it");
    queue.task_done().unwrap();
    queue.join().unwrap();
}

fn join_ends() {
    let queue = JoinableQueue::new(0).unwrap();
    (0..20).for_each(|n| queue.put(n).unwrap());
    let consume = || {
        while let Ok(task) = queue.get() {
            if task == 7 && std::process::id().is_multiple_of(2) {
                break; // ends without task_done
            }
            queue.task_done().unwrap();
        }
    };
    let consumers: Vec<_> = (0..4).map(|_| Child::run(consume)).collect();
    // All with the fatal pid may have gone: then it is reported, and this process takes over.
    while let Err(Error::ConsumerDied { .. }) = queue.join_timeout(LONG) {
        if let Ok(_task) = queue.try_get() {
            queue.task_done().unwrap();
        }
    }
    assert_eq!(queue.unfinished(), 0);
    queue.close();
    consumers.into_iter().for_each(Child::succeed);
}

fn seconds() -> Duration {
    let seconds = std::env::var("MP_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(1.0))
}

fn random(below: u64) -> u64 {
    u64::from_ne_bytes(mp_sys::random::bytes().unwrap()) % below
}

fn nap(micros: u64) {
    std::thread::sleep(Duration::from_micros(random(micros)));
}

/// A process is stopped wherever it happens to be, now and then with a lock of the queue in its
/// hands. Calls with a timeout keep it all the same.
fn paused() {
    const TIMEOUT: Duration = Duration::from_millis(50);
    let queue = Queue::<u32>::new(0).unwrap();
    let begin = Instant::now();
    let (mut late, mut held, mut rounds) = (Duration::ZERO, 0, 0);
    let child = Child::run(|| {
        loop {
            let _ = queue.try_put(1);
            let _ = queue.try_get();
        }
    });
    while begin.elapsed() < seconds() {
        nap(300);
        child.signal(libc::SIGSTOP);
        let start = Instant::now();
        let put = queue.put_timeout(2, TIMEOUT).map_err(Error::from);
        let got = queue.get_timeout(TIMEOUT);
        late = late.max(start.elapsed().saturating_sub(2 * TIMEOUT));
        let start = Instant::now();
        let _ = queue.try_get();
        late = late.max(start.elapsed());
        held += u32::from(put.is_err() || got.is_err());
        rounds += 1;
        child.signal(libc::SIGCONT);
    }
    println!("{rounds} pauses, {held} with a lock held; the latest call was {late:?} over time");
    assert!(late < Duration::from_millis(200));
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Plain,
    Lease,
}

/// What the processes of the kill test leave behind for the one that checks.
struct Ledger {
    /// How many numbers each producer has used: the put of the last one may not have returned.
    begun: Placed<[AtomicU64; SIDES]>,
    /// A bit for each number whose put has returned; each producer has a row.
    put: Vec<Placed<[AtomicU64; WORDS]>>,
    /// A bit for each number that arrived.
    got: Vec<Placed<[AtomicU64; WORDS]>>,
    /// What arrived twice, and the longest call.
    twice: Placed<AtomicU64>,
    slowest: Placed<AtomicU32>,
}

/// Two million numbers a producer.
const WORDS: usize = 1 << 15;

impl Ledger {
    fn new() -> Ledger {
        let row = || Region::create(Kind::new(*b"test"), WORDS * 8, 0).unwrap().words(0).unwrap();
        let rows = || (0..SIDES).map(|_| row()).collect();
        Ledger {
            begun: Placed::zeroed().unwrap(),
            put: rows(),
            got: rows(),
            twice: Placed::zeroed().unwrap(),
            slowest: Placed::zeroed().unwrap(),
        }
    }

    fn set(row: &[AtomicU64; WORDS], number: u64) -> bool {
        let bit = 1 << (number % 64);
        row[number as usize / 64].fetch_or(bit, Ordering::Relaxed) & bit != 0
    }
}

#[derive(Serialize, Deserialize)]
struct Item {
    producer: u8,
    number: u64,
    body: ByteBuf,
    sum: u64,
    handle: Option<Fd>,
}

impl Item {
    /// Everything in it follows from its number: most are short, some travel beside the ring,
    /// some have a handle.
    fn new(producer: usize, number: u64) -> Item {
        let mix = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let len = if mix.is_multiple_of(500) { 20_000 } else { mix % 200 };
        let body: Vec<u8> = (0..len).map(|at| (at ^ number) as u8).collect();
        let handle = mix.is_multiple_of(301).then(|| File::open("/dev/null").unwrap().into());
        Item { producer: producer as u8, number, sum: Item::sum(&body), body: body.into(), handle }
    }

    fn sum(body: &[u8]) -> u64 {
        body.iter().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
    }

    fn check(&self) {
        let same = Item::new(self.producer.into(), self.number);
        assert!(self.body == same.body && self.sum == same.sum, "{} is torn", self.number);
        assert_eq!(self.handle.is_some(), same.handle.is_some());
    }
}

fn produce(queue: &Queue<Item>, ledger: &Ledger, producer: usize) {
    loop {
        let number = ledger.begun[producer].fetch_add(1, Ordering::Relaxed);
        if number == WORDS as u64 * 64 || queue.put(Item::new(producer, number)).is_err() {
            return;
        }
        Ledger::set(&ledger.put[producer], number);
        // Room for the others, and for queues that run empty.
        if number.is_multiple_of(64) {
            nap(1_000);
        }
    }
}

fn consume(queue: &Queue<Item>, ledger: &Ledger, mode: Mode) {
    let mut last = [None; SIDES];
    loop {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let (lease, item) = match mode {
            Mode::Plain => (None, queue.get_timeout(second)),
            Mode::Lease => match queue.get_lease_timeout(second) {
                Ok(mut lease) => {
                    let handle = lease.handle.take();
                    let Item { producer, number, sum, .. } = *lease;
                    let body = std::mem::take(&mut lease.body);
                    (Some(lease), Ok(Item { producer, number, body, sum, handle }))
                }
                Err(error) => (None, Err(error)),
            },
        };
        let took = start.elapsed().as_micros() as u32;
        ledger.slowest.fetch_max(took, Ordering::Relaxed);
        let item = match item {
            Ok(item) => item,
            Err(Error::TimedOut) => continue,
            Err(Error::Closed) => return,
            Err(other) => panic!("{other}"),
        };
        let producer = usize::from(item.producer);
        if Ledger::set(&ledger.got[producer], item.number) {
            ledger.twice.fetch_add(1, Ordering::Relaxed);
        }
        item.check();
        if !lease.as_ref().is_some_and(|lease| lease.is_redelivered()) {
            assert!(last[producer].is_none_or(|last| last < item.number), "out of order");
            last[producer] = Some(item.number);
        }
        if let Some(lease) = lease {
            lease.ack().unwrap();
        }
    }
}

/// Four producers and four consumers, of which one is killed or paused every millisecond or so.
/// In the end: nothing torn, nothing out of order, nothing twice, and nothing lost but at most one
/// item for each killed consumer. With leases nothing is lost, and at most one item for each
/// killed consumer comes twice.
fn kills(mode: Mode) {
    let queue = Queue::<Item>::with_capacity(0, 64 * 1024).unwrap();
    let ledger = Ledger::new();
    let start = |side: usize| {
        Child::run(|| match side {
            0..SIDES => produce(&queue, &ledger, side),
            _ => consume(&queue, &ledger, mode),
        })
    };
    let wanted: u32 = std::env::var("MP_KILLS").ok().map_or(u32::MAX, |text| text.parse().unwrap());
    let mut children: Vec<_> = (0..2 * SIDES).map(start).collect();
    let begin = Instant::now();
    let (mut killed, mut consumers) = (0, 0);
    while if wanted < u32::MAX { killed < wanted } else { begin.elapsed() < seconds() } {
        nap(2_000);
        let victim = random(2 * SIDES as u64) as usize;
        if random(4) == 0 {
            children[victim].signal(libc::SIGSTOP);
            nap(2_000);
        }
        if random(8) == 0 {
            children[victim].signal(libc::SIGCONT);
            continue;
        }
        children[victim].kill();
        children[victim] = start(victim);
        killed += 1;
        consumers += u64::from(victim >= SIDES);
    }
    // Producers end first: those in `put` find the queue closed, and what they had put is taken.
    queue.close();
    for (side, child) in children.into_iter().enumerate() {
        child.signal(libc::SIGCONT);
        assert_eq!(child.join(), Status::Exited(0), "side {side}");
    }
    let (mut put, mut got, mut lost) = (0, 0, 0);
    for (put_row, got_row) in ledger.put.iter().zip(&ledger.got) {
        for (sent, arrived) in put_row.iter().zip(got_row.iter()) {
            let (sent, arrived) = (sent.load(Ordering::Relaxed), arrived.load(Ordering::Relaxed));
            put += sent.count_ones();
            got += arrived.count_ones();
            lost += u64::from((sent & !arrived).count_ones());
        }
    }
    let twice = ledger.twice.load(Ordering::Relaxed);
    let slowest = ledger.slowest.load(Ordering::Relaxed);
    println!(
        "{killed} kills ({consumers} of consumers) in {:.1?}: {put} put, {got} got, {lost} lost, \
         {twice} twice, slowest get {} ms",
        begin.elapsed(),
        slowest / 1000,
    );
    assert!(queue.is_empty());
    match mode {
        Mode::Plain => assert!(twice == 0 && lost <= consumers),
        Mode::Lease => assert!(lost == 0 && twice <= consumers),
    }
    assert!(slowest < 1_500_000);
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Act {
    Put(u32, usize),
    Get,
    Len,
}

#[derive(Clone, Debug)]
enum Step {
    Do(usize, Act),
    KillIdle(usize),
    KillAtWork(usize, Act),
    Pause(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        3 => (any::<u32>(), prop_oneof![0_usize..300, Just(5_000)])
            .prop_map(|(seed, len)| Act::Put(seed, len)),
        3 => Just(Act::Get),
        1 => Just(Act::Len),
    ];
    let step = prop_oneof![
        10 => (0_usize..3, act.clone()).prop_map(|(actor, act)| Step::Do(actor, act)),
        1 => (0_usize..3).prop_map(Step::KillIdle),
        2 => (0_usize..3, act).prop_map(|(actor, act)| Step::KillAtWork(actor, act)),
        1 => (0_usize..3).prop_map(Step::Pause),
    ];
    prop::collection::vec(step, 0..60)
}

/// What an actor answers: the length after a put, or nothing when full; the item; the length.
type Answer = Result<Option<(u32, Vec<u8>)>, usize>;

fn actor(queue: &Queue<(u32, Vec<u8>)>) -> (Child, Connection<Act, Answer>) {
    let (here, there) = pipe::<Act, Answer>().unwrap();
    let here = std::cell::Cell::new(Some(here));
    let child = Child::run(|| {
        drop(here.take());
        while let Ok(act) = there.recv() {
            let answer = match act {
                Act::Put(seed, len) => match queue.try_put((seed, vec![seed as u8; len])) {
                    Ok(()) => Ok(Some((seed, Vec::new()))),
                    Err(_) => Ok(None),
                },
                Act::Get => Ok(queue.try_get().ok()),
                Act::Len => Err(queue.len()),
            };
            if there.send(&answer).is_err() {
                return;
            }
        }
    });
    drop(there);
    (child, here.into_inner().unwrap())
}

/// Three processes do what they are told, one at a time, and some of them die, idle or at work.
fn model() {
    let mut runner =
        TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    runner
        .run(&steps(), |steps| {
            let queue = Queue::<(u32, Vec<u8>)>::with_capacity(6, 4096).unwrap();
            let mut model = VecDeque::new();
            let mut actors: Vec<_> = (0..3).map(|_| actor(&queue)).collect();
            for step in steps {
                match step {
                    Step::Do(at, act) => {
                        actors[at].1.send(&act).unwrap();
                        let answer = actors[at].1.recv_timeout(LONG).unwrap();
                        match (act, answer) {
                            (Act::Put(seed, len), Ok(Some(_))) => {
                                model.push_back((seed, vec![seed as u8; len]));
                                prop_assert!(model.len() <= 6);
                            }
                            (Act::Put(..), Ok(None)) => prop_assert!(!model.is_empty()),
                            (Act::Get, Ok(item)) => prop_assert_eq!(item, model.pop_front()),
                            (Act::Len, Err(len)) => prop_assert_eq!(len, model.len()),
                            (_, answer) => prop_assert!(false, "{:?}", answer),
                        }
                    }
                    Step::KillIdle(at) => actors[at] = actor(&queue),
                    Step::KillAtWork(at, act) => {
                        actors[at].1.send(&act).unwrap();
                        nap(50);
                        actors[at].0.kill();
                        actors[at] = actor(&queue);
                        // It has happened, or it has not.
                        match (act, queue.len() as isize - model.len() as isize) {
                            (_, 0) => {}
                            (Act::Put(seed, len), 1) => {
                                model.push_back((seed, vec![seed as u8; len]));
                            }
                            (Act::Get, -1) => drop(model.pop_front()),
                            (act, change) => prop_assert!(false, "{:?} gave {}", act, change),
                        }
                    }
                    Step::Pause(at) => {
                        actors[at].0.signal(libc::SIGSTOP);
                        prop_assert_eq!(queue.len(), model.len());
                        actors[at].0.signal(libc::SIGCONT);
                    }
                }
            }
            let rest: Vec<_> = queue.drain().map(Result::unwrap).collect();
            prop_assert_eq!(rest, Vec::from(model));
            Ok(())
        })
        .unwrap();
}
