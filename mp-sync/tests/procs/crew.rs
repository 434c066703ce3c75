//! The parties of a test: threads of this process, or forked processes; one body serves both.

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mp_shm::Placed;
use mp_sys::fork::{self, Fork};
use mp_sys::pidfd::{self, Status};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const SIGKILL: i32 = 9;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Threads,
    Processes,
}

/// One party; it must be joined, or killed.
pub(crate) enum Member {
    Thread(JoinHandle<()>),
    Process(Child),
}

/// A forked process; it is killed when this is dropped.
pub(crate) struct Child(OwnedFd);

impl Child {
    pub(crate) fn status(&self) -> Option<Status> {
        pidfd::try_reap(&self.0).unwrap()
    }

    pub(crate) fn signal(&self, signal: i32) {
        pidfd::signal(&self.0, signal).unwrap();
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(&self) {
        self.signal(SIGKILL);
        until("a killed process ends", || self.status().is_some());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // In vain if it has ended, as it mostly has.
        let _ = pidfd::signal(&self.0, SIGKILL);
    }
}

impl Mode {
    pub(crate) fn spawn(self, work: impl FnOnce() + Send + 'static) -> Member {
        match self {
            Mode::Threads => Member::Thread(std::thread::spawn(work)),
            Mode::Processes => Member::Process(child(work)),
        }
    }

    pub(crate) fn spawn_each(
        self,
        count: usize,
        work: impl FnOnce(usize) + Send + Clone + 'static,
    ) -> Vec<Member> {
        let one = |i| {
            let work = work.clone();
            self.spawn(move || work(i))
        };
        (0..count).map(one).collect()
    }
}

/// Forks a child that does `work` and ends.
pub(crate) fn child(work: impl FnOnce()) -> Child {
    #[expect(unsafe_code, reason = "the test process has one thread when it forks")]
    // SAFETY: bodies fork processes before threads, or one of the two only.
    match unsafe { fork::fork() }.unwrap() {
        Fork::Parent(pid) => Child(pidfd::open(pid).unwrap()),
        Fork::Child => {
            let result = catch_unwind(AssertUnwindSafe(work));
            fork::exit_now(if result.is_ok() { 0 } else { 101 })
        }
    }
}

impl Member {
    pub(crate) fn join(self) {
        match self {
            Member::Thread(thread) => {
                until("a thread ends", || thread.is_finished());
                thread.join().unwrap();
            }
            Member::Process(process) => {
                let mut status = None;
                let ended = within(PATIENCE, || {
                    status = process.status();
                    status.is_some()
                });
                assert!(ended, "a process did not end");
                assert_eq!(status, Some(Status::Exited(0)));
            }
        }
    }

    pub(crate) fn kill(self) {
        self.process().kill();
    }

    pub(crate) fn stop(&self) {
        self.process().signal(SIGSTOP);
    }

    pub(crate) fn go_on(&self) {
        self.process().signal(SIGCONT);
    }

    fn process(&self) -> &Child {
        match self {
            Member::Process(process) => process,
            Member::Thread(_) => panic!("a thread cannot be killed"),
        }
    }
}

pub(crate) fn join(members: Vec<Member>) {
    members.into_iter().for_each(Member::join);
}

/// Looks again and again until `fact` holds; says whether it came about in time.
pub(crate) fn within(time: Duration, mut fact: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !fact() {
        if start.elapsed() > time {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

pub(crate) fn until(what: &str, fact: impl FnMut() -> bool) {
    assert!(within(PATIENCE, fact), "{what}: waited in vain");
}

/// Counters that all parties see.
#[derive(Clone)]
pub(crate) struct Board(Placed<[AtomicU32; 64]>);

impl Board {
    pub(crate) fn new() -> Board {
        Board(Placed::zeroed().unwrap())
    }

    pub(crate) fn add(&self, i: usize) -> u32 {
        self.0[i].fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn get(&self, i: usize) -> u32 {
        self.0[i].load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, i: usize, value: u32) {
        self.0[i].store(value, Ordering::SeqCst);
    }

    /// Puts `new` in place of `old`, if that is there.
    pub(crate) fn swap(&self, i: usize, old: u32, new: u32) -> bool {
        let order = Ordering::SeqCst;
        self.0[i].compare_exchange(old, new, order, order).is_ok()
    }

    pub(crate) fn until(&self, i: usize, value: u32) {
        until("a counter", || self.get(i) == value);
    }

    /// Enters the calling thread, which is about to sleep, at place `i`.
    pub(crate) fn sleeper(&self, i: usize) {
        self.set(i, tid());
    }

    /// Waits until the threads entered in `places` sleep in the kernel.
    pub(crate) fn until_asleep(&self, places: std::ops::Range<usize>) {
        until("a thread sleeps", || places.clone().all(|i| self.is_asleep(i)));
    }

    /// Whether the thread entered at place `i` sleeps in the kernel.
    pub(crate) fn is_asleep(&self, i: usize) -> bool {
        is_asleep(self.get(i))
    }
}

/// The calling thread's id.
pub(crate) fn tid() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

fn is_asleep(tid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{tid}/stat")) else { return false };
    tid != 0 && stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}
