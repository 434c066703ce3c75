//! Everybody dies at random for a while, and everything goes on.

use std::thread;
use std::time::{Duration, Instant};

use mp_ipc::Queue;
use mp_manager::Manager;
use mp_pool::{AsyncResult, Pool};
use mp_process::{Child, Error, Process, TaskError};
use mp_sync::{Mutex, Semaphore};

use crate::client::{self, Managed};
use crate::ledger::{Ledger, SIDES};
use crate::orders::{Fate, KINDS, Order, Orders, SERVER};
use crate::parties::Parties;
use crate::sides::{self, Shared};
use crate::{Random, SOON, timed};

/// How many users the lock has, and how many clients the manager.
const USERS: usize = 3;
const CLIENTS: usize = 2;
const WORKERS: usize = 3;

const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

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

/// The same seed does the same to the same ones, whatever became of them.
pub(crate) fn repeats() {
    let seed = Random::new().0;
    let [first, second] = [(); 2].map(|()| {
        let mut storm = Storm::new(CAST);
        let done = storm.blow(Orders(Random(seed)), Duration::from_millis(400));
        assert_eq!(storm.end(), [""; 0]);
        done
    });
    let both = first.len().min(second.len());
    assert!(both >= 10, "a storm of {both} orders");
    assert_eq!(first[..both], second[..both]);
    println!("{both} orders repeated");
}

/// Lets it blow for so long, and says what has gone wrong.
fn blow(cast: Cast, time: Duration) -> Vec<&'static str> {
    let mut storm = Storm::new(cast);
    storm.blow(Orders(Random::new()), time);
    storm.end()
}

struct Storm {
    cast: Cast,
    lasted: Duration,
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
    pauses: [u64; KINDS.len()],
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
            lasted: Duration::ZERO,
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
            pauses: [0; KINDS.len()],
            worst: [Duration::ZERO; KINDS.len()],
            tasks: 0,
            died: 0,
        }
    }

    /// Does what it is told to, for so long, and says what that was.
    fn blow(&mut self, orders: Orders, time: Duration) -> Vec<Order> {
        let start = Instant::now();
        let done = orders.take_while(|_| start.elapsed() < time).inspect(|order| {
            thread::sleep(order.peace);
            match order.fate {
                Fate::Death => self.strike(order.kind, order.nth),
                Fate::Pause(pause) => self.pause(order.kind, order.nth, pause),
            }
            self.tasks();
        });
        let done = done.collect();
        self.lasted = start.elapsed();
        done
    }

    /// Kills one of a kind, sees that its peers go on, and replaces it.
    fn strike(&mut self, kind: usize, nth: usize) {
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
    fn pause(&mut self, kind: usize, nth: usize, pause: Duration) {
        let pid = match kind {
            0 => Some(self.producers[nth].pid()),
            1 => Some(self.consumers[nth].pid()),
            2 => Some(self.users[nth].pid()),
            3 => Some(self.clients[nth % CLIENTS].pid()),
            4 => self.pool.stats().workers.get(nth).and_then(|one| one.pid).map(|pid| pid as i32),
            _ => self.manager.pid(),
        };
        let Some(process) = pid.and_then(|pid| mp_sys::pidfd::open(pid).ok()) else { return };
        let _ = mp_sys::pidfd::signal(&process, SIGSTOP);
        thread::sleep(pause);
        let _ = mp_sys::pidfd::signal(&process, SIGCONT);
        self.pauses[kind] += 1;
        // Whoever waited for it goes on.
        let took = match kind {
            2 => timed(|| sides::change(&self.shared)).1,
            3 | SERVER => self.managed.probe(self.kills[kind]),
            _ => Duration::ZERO,
        };
        self.worst[kind] = self.worst[kind].max(took);
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
    fn end(mut self) -> Vec<&'static str> {
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
        println!("{:.1?} of storm, and {ending:.1?} to its end", self.lasted);
        for (kind, name) in KINDS.iter().enumerate() {
            let (kills, pauses, worst) = (self.kills[kind], self.pauses[kind], self.worst[kind]);
            match worst {
                Duration::ZERO => println!("  {kills} {name} killed, {pauses} stopped"),
                _ => println!(
                    "  {kills} {name} killed, {pauses} stopped; worst recovery {worst:.1?}"
                ),
            }
        }
        println!(
            "  {} messages put, {} got, {} lost with {} dead consumers, {} twice, {} torn; \
             worst call {:.1?} late",
            sum.put, sum.got, sum.lost, self.kills[1], sum.twice, sum.torn, sum.late
        );
        println!("  {} tasks, {} of them died with their workers", self.tasks, self.died);
        let (kills, pauses) = (self.kills.iter().sum::<u64>(), self.pauses.iter().sum::<u64>());
        println!("  {kills} kills and {pauses} pauses in all");
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
    thread::sleep(Duration::from_micros(300));
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
