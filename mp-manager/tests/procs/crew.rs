//! The parties of a test: threads of this process, or processes of each kind; one body serves all.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mp_manager::{Manager, StartMethod};
use mp_process::{Child, Process};
use mp_shm::Array;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// For waits that are to end in vain.
pub(crate) const SHORT: Duration = Duration::from_millis(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Threads,
    Fork,
    Spawn,
    ForkServer,
}

impl Mode {
    pub(crate) const PROCESSES: [Mode; 3] = [Mode::Fork, Mode::Spawn, Mode::ForkServer];
    pub(crate) const ALL: [Mode; 4] = [Mode::Threads, Mode::Fork, Mode::Spawn, Mode::ForkServer];

    /// Has one party do `work`.
    pub(crate) fn run<A>(self, work: fn(A), args: &A) -> Member
    where
        A: Clone + Serialize + DeserializeOwned + Send + 'static,
    {
        let args = args.clone();
        let method = match self {
            Mode::Threads => return Member::Thread(std::thread::spawn(move || work(args))),
            Mode::Fork => StartMethod::Fork,
            Mode::Spawn => StartMethod::Spawn,
            Mode::ForkServer => StartMethod::ForkServer,
        };
        Member::Process(Process::new(work, args).method(method).start().unwrap())
    }

    /// Has `count` parties do `work`; each is told its number.
    pub(crate) fn run_each<A>(self, count: u32, work: fn((A, u32)), args: &A) -> Vec<Member>
    where
        A: Clone + Serialize + DeserializeOwned + Send + 'static,
    {
        (0..count).map(|number| self.run(work, &(args.clone(), number))).collect()
    }
}

/// One party.
pub(crate) enum Member {
    Thread(JoinHandle<()>),
    Process(Child<()>),
}

impl Member {
    pub(crate) fn join(self) {
        match self {
            Member::Thread(thread) => {
                until("a thread ends", || thread.is_finished());
                thread.join().unwrap();
            }
            Member::Process(child) => child.join_timeout(PATIENCE).unwrap(),
        }
    }

    /// Kills it without waiting for its end.
    pub(crate) fn kill(&self) {
        self.process().kill().unwrap();
    }

    /// Kills it, and waits for its end.
    pub(crate) fn end(&self) {
        self.kill();
        self.process().wait();
    }

    pub(crate) fn process(&self) -> &Child<()> {
        match self {
            Member::Process(child) => child,
            Member::Thread(_) => panic!("a thread is no process"),
        }
    }
}

pub(crate) fn join(members: Vec<Member>) {
    members.into_iter().for_each(Member::join);
}

/// Looks again and again until `fact` holds.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let start = Instant::now();
    while !fact() {
        assert!(start.elapsed() < PATIENCE, "{what}: waited in vain");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// What a dead party does until it is killed.
pub(crate) fn sleep() {
    std::thread::sleep(Duration::from_secs(60));
}

/// Counters that all parties see, and that no manager keeps.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Board(Array<u32>);

impl Board {
    pub(crate) fn new() -> Board {
        Board(Array::new(64).unwrap())
    }

    /// Adds one; what was there.
    pub(crate) fn add(&self, place: u32) -> u32 {
        self.0.at(place as usize).unwrap().fetch_add(1)
    }

    pub(crate) fn get(&self, place: u32) -> u32 {
        self.0.get(place as usize).unwrap()
    }

    pub(crate) fn set(&self, place: u32, value: u32) {
        self.0.set(place as usize, value).unwrap();
    }

    pub(crate) fn until(&self, place: u32, value: u32) {
        until("a counter", || self.get(place) == value);
    }

    /// Enters the calling thread, which is about to wait for the server, at a place.
    pub(crate) fn sleeper(&self, place: u32) {
        self.set(place, tid());
    }

    /// Waits until the threads entered in `places` wait, and the server knows of it.
    pub(crate) fn until_asleep(&self, places: std::ops::Range<u32>, manager: &Manager) {
        until("a thread sleeps", || places.clone().all(|place| is_asleep(self.get(place))));
        // What was asked before this is answered, or waits.
        manager.object_count().unwrap();
    }
}

fn tid() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

fn is_asleep(tid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{tid}/stat")) else { return false };
    tid != 0 && stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}
