//! Everybody dies at random for a while, and everything goes on.

use std::time::{Duration, Instant};

use mp_ipc::Queue;
use mp_manager::Manager;
use mp_pool::{AsyncResult, Pool};
use mp_process::{Child, Error, Process, TaskError};
use mp_sync::{Mutex, Semaphore};

use crate::client::{self, Managed};
use crate::ledger::{Ledger, SIDES};
use crate::parties::Parties;
use crate::sides::{self, Shared};
use crate::{Random, SOON, timed};

/// How many users the lock has, and how many clients the manager.
const USERS: usize = 3;
const CLIENTS: usize = 2;
const WORKERS: usize = 3;

const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

/// The kinds of those who die.
const KINDS: [&str; 6] = ["producers", "consumers", "lock users", "clients", "workers", "servers"];

/// What those do who may be replaced by a broken twin.
#[derive(Clone, Copy)]
struct Cast {
    consumer: fn(Shared),
    user: fn(Shared),
}

const CAST: Cast = Cast { consumer: sides::consume, user: sides::lock };

pub(crate) fn run() {
    let seconds = std::env::var("MP_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    let faults = blow(CAST, Duration::from_secs_f64(seconds.unwrap_or(1.5)));
    assert_eq!(faults, [""; 0]);
}

/// The storm sees what broken twins do in it.
pub(crate) fn control() {
    let seen = |cast: Cast, fault| {
        (0..10).any(|_| blow(cast, Duration::from_millis(500)).contains(&fault))
    };
    assert!(seen(Cast { user: sides::lock_twice, ..CAST }, "torn"));
    assert!(seen(Cast { consumer: sides::miscount, ..CAST }, "twice"));
    assert!(seen(Cast { consumer: sides::miscount, ..CAST }, "lost without a death"));
}

/// Lets it blow for so long, and says what has gone wrong.
fn blow(cast: Cast, time: Duration) -> Vec<&'static str> {
    let mut storm = Storm::new(cast);
    let start = Instant::now();
    while start.elapsed() < time {
        storm.random.nap(4_000);
        // A manager's server has company, and so dies less often.
        let die = storm.random.below(31) as usize;
        match die {
            0..25 => storm.strike(die % 5),
            25..30 => storm.pause(die % 5),
            _ => storm.strike(5),
        }
        storm.tasks();
    }
    storm.end(start.elapsed())
}

struct Storm {
    cast: Cast,
    random: Random,
    shared: Shared,
    producers: Vec<Child<()>>,
    consumers: Vec<Child<()>>,
    users: Vec<Child<()>>,
    manager: Manager,
    managed: Managed,
    clients: Vec<Child<()>>,
    pool: Pool,
    pending: Vec<(u64, AsyncResult<u64>)>,
    kills: [u64; KINDS.len()],
    pauses: u64,
    /// How long it took at the worst until a survivor had what the dead had held. For a queue
    /// the ledger has it.
    worst: [Duration; KINDS.len()],
    tasks: u64,
    died: u64,
}

impl Storm {
    fn new(cast: Cast) -> Storm {
        let shared = Shared {
            queue: Queue::with_capacity(0, 64 * 1024).unwrap(),
            lock: Mutex::new([0, 0]).unwrap(),
            semaphore: Semaphore::new(2).unwrap(),
            parties: Parties::new(),
            ledger: Ledger::new(),
        };
        let manager = Manager::start().unwrap();
        let managed = Managed::new(&manager).unwrap();
        Storm {
            cast,
            random: Random::new(),
            producers: (0..SIDES).map(|side| producer(&shared, side)).collect(),
            consumers: (0..SIDES).map(|_| start(cast.consumer, shared.clone())).collect(),
            users: (0..USERS).map(|_| start(cast.user, shared.clone())).collect(),
            clients: (0..CLIENTS).map(|_| start(client::work, managed.clone())).collect(),
            pool: Pool::builder().workers(WORKERS).restart_limit(u32::MAX, SOON).start().unwrap(),
            shared,
            manager,
            managed,
            pending: Vec::new(),
            kills: [0; KINDS.len()],
            pauses: 0,
            worst: [Duration::ZERO; KINDS.len()],
            tasks: 0,
            died: 0,
        }
    }

    /// Kills one of a kind, sees that its peers go on, and replaces it.
    fn strike(&mut self, kind: usize) {
        let nth = self.random.below(SIDES as u64) as usize;
        let took = match kind {
            0 => {
                kill(&self.producers[nth]);
                self.producers[nth] = producer(&self.shared, nth);
                Duration::ZERO
            }
            1 => {
                kill(&self.consumers[nth]);
                self.consumers[nth] = start(self.cast.consumer, self.shared.clone());
                Duration::ZERO
            }
            2 => {
                kill(&self.users[nth]);
                let ((), took) = timed(|| sides::change(&self.shared));
                self.users[nth] = start(self.cast.user, self.shared.clone());
                took
            }
            3 => {
                let nth = nth % CLIENTS;
                kill(&self.clients[nth]);
                let took = self.managed.probe(self.kills[kind]);
                self.clients[nth] = start(client::work, self.managed.clone());
                took
            }
            4 => {
                let stats = self.pool.stats();
                let ready = stats.workers.iter().filter(|worker| worker.ready);
                let pids: Vec<u32> = ready.filter_map(|worker| worker.pid).collect();
                let Some(pid) = pids.get(nth) else { return };
                // The pool may have reaped it in between; then there is nobody to kill.
                let Ok(worker) = mp_sys::pidfd::open(*pid as i32) else { return };
                let _ = mp_sys::pidfd::signal(&worker, 9);
                let task = self.pool.apply_async(square, 3).unwrap();
                let (result, took) = timed(|| task.get_timeout(SOON));
                self.count(3, result);
                took
            }
            _ => self.kill_server(),
        };
        self.kills[kind] += 1;
        self.worst[kind] = self.worst[kind].max(took);
    }

    /// Stops one of a kind for a moment. The others wait for what it has, or do without.
    fn pause(&mut self, kind: usize) {
        let nth = self.random.below(SIDES as u64) as usize;
        let pid = match kind {
            0 => self.producers[nth].pid(),
            1 => self.consumers[nth].pid(),
            2 => self.users[nth].pid(),
            3 => self.clients[nth % CLIENTS].pid(),
            _ => match self.pool.stats().workers.get(nth).and_then(|worker| worker.pid) {
                Some(pid) => pid as i32,
                None => return,
            },
        };
        let Ok(process) = mp_sys::pidfd::open(pid) else { return };
        for signal in [SIGSTOP, SIGCONT] {
            let _ = mp_sys::pidfd::signal(&process, signal);
            self.random.nap(5_000);
        }
        self.pauses += 1;
    }

    /// The clients of a dead server are told, and end; a fresh server has fresh ones.
    fn kill_server(&mut self) -> Duration {
        let pid = self.manager.pid().expect("a server of ours");
        let server = mp_sys::pidfd::open(pid).unwrap();
        mp_sys::pidfd::signal(&server, 9).unwrap();
        let ((), took) = timed(|| {
            self.clients.drain(..).for_each(|client| is_told(&client));
        });
        self.manager = Manager::start().unwrap();
        self.managed = Managed::new(&self.manager).unwrap();
        self.clients = (0..CLIENTS).map(|_| start(client::work, self.managed.clone())).collect();
        took
    }

    /// Hands in a few tasks, and looks at those that are done.
    fn tasks(&mut self) {
        for x in 0..4 {
            self.pending.push((x, self.pool.apply_async(square, x).unwrap()));
        }
        while self.pending.len() > 64 {
            let (x, task) = self.pending.remove(0);
            let result = task.get_timeout(SOON);
            self.count(x, result);
        }
    }

    fn count(&mut self, x: u64, result: Result<u64, mp_pool::Error>) {
        self.tasks += 1;
        match result {
            Ok(square) => assert_eq!(square, x * x),
            Err(mp_pool::Error::Task(mp_pool::TaskError::WorkerDied { .. })) => self.died += 1,
            Err(error) => panic!("a task: {error}"),
        }
    }

    /// Lets everybody come to an end, adds up, and says what is wrong.
    fn end(mut self, lasted: Duration) -> Vec<&'static str> {
        let begin = Instant::now();
        for (x, task) in std::mem::take(&mut self.pending) {
            let result = task.get_timeout(SOON);
            self.count(x, result);
        }
        self.pool.close();
        self.pool.join_timeout(SOON).expect("the pool ends");
        self.shared.queue.close();
        let all = [&self.producers, &self.consumers, &self.users];
        all.into_iter().flatten().for_each(|child| ends_well("one of the storm", child));
        self.manager.shutdown().expect("the server ends");
        self.clients.iter().for_each(is_told);
        let (ending, sum) = (begin.elapsed(), self.shared.ledger.sum());
        println!("{lasted:.1?} of storm, and {ending:.1?} to its end");
        for ((kind, kills), worst) in KINDS.iter().zip(self.kills).zip(self.worst) {
            match worst {
                Duration::ZERO => println!("  {kills} {kind} killed"),
                _ => println!("  {kills} {kind} killed; worst recovery {worst:.1?}"),
            }
        }
        println!(
            "  {} messages put, {} got, {} lost with {} dead consumers, {} twice, {} torn; \
             worst call {:.1?} late",
            sum.put, sum.got, sum.lost, self.kills[1], sum.twice, sum.torn, sum.late
        );
        println!("  {} tasks, {} of them died with their workers", self.tasks, self.died);
        println!("  {} pauses", self.pauses);
        let slow = sum.late.max(self.worst.into_iter().max().unwrap_or_default());
        let faults = [
            (sum.twice > 0, "twice"),
            (sum.torn > 0, "torn"),
            // What a consumer had taken out and not yet looked at: one at the most.
            (sum.lost > self.kills[1], "lost without a death"),
            (self.died > self.kills[4] + 1, "one death took several tasks"),
            (slow >= SOON, "too late"),
        ];
        faults.into_iter().filter_map(|(is, fault)| is.then_some(fault)).collect()
    }
}

fn square(x: u64) -> u64 {
    std::thread::sleep(Duration::from_micros(300));
    x * x
}

fn start<A>(function: fn(A), args: A) -> Child<()>
where
    A: serde::Serialize + serde::de::DeserializeOwned + 'static,
{
    Process::new(function, args).start().unwrap()
}

fn producer(shared: &Shared, side: usize) -> Child<()> {
    start(sides::produce, (shared.clone(), side))
}

fn kill(child: &Child<()>) {
    child.kill().unwrap();
    let status = child.wait_timeout(SOON).expect("the killed die");
    assert_eq!(status.signal(), Some(9), "it had ended before: {status}");
}

/// A client of a dead server ends: well, or it was so young that it could not connect to it.
fn is_told(client: &Child<()>) {
    match client.join_timeout(2 * SOON) {
        Ok(()) | Err(Error::Task(TaskError::Arguments(_))) => {}
        Err(error) => panic!("a client ends badly: {error}"),
    }
}

fn ends_well(who: &str, child: &Child<()>) {
    let end = child.join_timeout(2 * SOON);
    end.unwrap_or_else(|error| panic!("{who} ends badly: {error}"));
}
