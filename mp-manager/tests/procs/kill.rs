//! Clients are killed at any moment of whatever they do.
//!
//! Each client runs through all kinds of objects as fast as it can. After its death the locks are
//! free, the permits are back, what was leased is there again, and the server counts as many
//! objects as before. `MP_KILLS` says how often; a sample by default, 2,000 for the long form.

use std::panic::{catch_unwind, set_hook, take_hook};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_manager::{
    Dict, Error, Event, JoinableQueue, List, Lock, LockError, Manager, Queue, RLock, Semaphore,
    StartMethod,
};
use mp_process::Process;
use serde::{Deserialize, Serialize};

use crate::{trial, within};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("kill::clients_die_at_any_moment", run),
        trial("kill::broken_twins_are_seen", broken_twins),
    ]
}

#[derive(Clone, Serialize, Deserialize)]
struct Shared {
    pair: Dict<String, u64>,
    lists: Dict<u32, List<u32>>,
    lock: Lock,
    rlock: RLock,
    semaphore: Semaphore,
    event: Event,
    jobs: JoinableQueue<u32>,
    results: Queue<List<u32>>,
}

fn client((shared, manager): (Shared, Manager)) {
    for round in 0_u32.. {
        {
            let _guard = shared.lock.lock().or_else(LockError::recover).unwrap();
            // The two are always changed together.
            shared.pair.update_in("a", |n| Some(n.unwrap_or(0) + 1)).unwrap();
            shared.pair.update_in("b", |n| Some(n.unwrap_or(0) + 1)).unwrap();
        }
        let own = manager.list_of(0..round % 7).unwrap();
        shared.lists.set(&(round % 5), &own).unwrap();
        let _all = shared.lists.values().unwrap();
        let _permit = shared.semaphore.acquire().unwrap();
        let outer = shared.rlock.lock().or_else(LockError::recover).unwrap();
        let inner = shared.rlock.lock().or_else(LockError::recover).unwrap();
        drop((outer, inner));
        if let Ok(job) = shared.jobs.try_get() {
            shared.results.try_put(manager.list_of([job]).unwrap()).unwrap();
            shared.jobs.task_done().unwrap();
        }
        let _ = shared.results.try_get();
        let waited = shared.event.wait_timeout(Duration::from_micros(200));
        assert!(matches!(waited, Err(Error::TimedOut)));
    }
}

/// Changes the two without the lock.
fn unlocked((shared, _manager): (Shared, Manager)) {
    loop {
        shared.pair.update_in("a", |n| Some(n.unwrap_or(0) + 1)).unwrap();
        shared.pair.update_in("b", |n| Some(n.unwrap_or(0) + 1)).unwrap();
    }
}

/// Has permits that are nobody's.
fn forgetful((shared, _manager): (Shared, Manager)) {
    while let Ok(permit) = shared.semaphore.acquire() {
        permit.forget().unwrap();
    }
}

/// Makes objects that its end does not take along.
fn hoarding((_shared, manager): (Shared, Manager)) {
    for nth in 0_u32.. {
        let name = format!("{}-{nth}", std::process::id());
        manager.publish(&name, &manager.list_of([nth]).unwrap()).unwrap();
    }
}

/// All that the kills look for is seen.
fn broken_twins() {
    let loud = take_hook();
    set_hook(Box::new(|_| ()));
    let twins: [fn((Shared, Manager)); 3] = [unlocked, forgetful, hoarding];
    let seen = twins.map(|twin| catch_unwind(|| kill(twin, 200)).is_err());
    set_hook(loud);
    assert_eq!(seen, [true; 3]);
}

fn run() {
    kill(client, std::env::var("MP_KILLS").map_or(60, |n| n.parse().unwrap()));
}

fn kill(client: fn((Shared, Manager)), kills: u32) {
    let manager = Manager::start().unwrap();
    let shared = Shared {
        pair: manager.dict().unwrap(),
        lists: manager.dict().unwrap(),
        lock: manager.lock().unwrap(),
        rlock: manager.rlock().unwrap(),
        semaphore: manager.semaphore(2).unwrap(),
        event: manager.event().unwrap(),
        jobs: manager.joinable_queue(0).unwrap(),
        results: manager.queue(0).unwrap(),
    };
    let handle = || mp_ipc::decode::<Manager>(mp_ipc::encode(&manager).unwrap()).unwrap();
    let base = manager.object_count().unwrap();
    let (mut died, mut torn, mut slowest) = (0, 0, Duration::ZERO);
    let start = Instant::now();
    for kill in 0..kills {
        shared.jobs.put(kill).unwrap();
        let clients = [0, 1].map(|_| {
            let process = Process::new(client, (shared.clone(), handle()));
            process.method(StartMethod::Fork).start().unwrap()
        });
        // From before its first call to the middle of whatever.
        std::thread::sleep(Duration::from_micros(u64::from(kill) * 7919 % 9000));
        for client in &clients {
            client.kill().unwrap();
        }
        let dead = Instant::now();
        for client in &clients {
            client.wait();
        }
        match shared.lock.lock_timeout(Duration::from_secs(2)) {
            Ok(_guard) => {
                let (a, b) = (shared.pair.get("a").unwrap(), shared.pair.get("b").unwrap());
                assert_eq!(a, b, "nobody died with the lock, kill {kill}");
            }
            Err(LockError::OwnerDied(_guard)) => {
                died += 1;
                let a = shared.pair.get("a").unwrap().unwrap_or(0);
                let b = shared.pair.get("b").unwrap().unwrap_or(0);
                torn += u32::from(a != b);
                shared.pair.set("b", &a).unwrap();
                shared.pair.set("a", &a).unwrap();
            }
            Err(LockError::Failed(error)) => panic!("kill {kill}: {error}"),
        }
        drop(
            shared.rlock.lock_timeout(Duration::from_secs(2)).or_else(LockError::recover).unwrap(),
        );
        within(Duration::from_secs(1), "the permits come back", || {
            shared.semaphore.value().unwrap() == 2
        });
        slowest = slowest.max(dead.elapsed());
        // What the dead had leased is there; nothing is left of what was done.
        while shared.jobs.try_get().is_ok() {
            shared.jobs.task_done().unwrap();
        }
        shared.jobs.join_timeout(Duration::from_secs(1)).unwrap();
        while shared.results.try_get().is_ok() {}
        shared.lists.clear().unwrap();
        within(Duration::from_secs(1), "the count is as before", || {
            manager.object_count().unwrap() == base
        });
    }
    println!(
        "{} clients killed in {:?}: {died} with the lock, {torn} between its two changes; \
         slowest recovery {slowest:?}",
        kills * 2,
        start.elapsed(),
    );
    drop(shared);
    assert_eq!(manager.object_count().unwrap(), 0);
}
