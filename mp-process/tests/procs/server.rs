//! The fork server: what it is prepared with, and what its death costs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mp_process::{Error, ExitStatus, Process, preload};

use crate::SOON;

pub(crate) const TRIALS: &[(&str, fn())] = &[
    ("a_killed_server_is_replaced", a_killed_server_is_replaced),
    ("a_killed_child_that_waits_is_replaced", a_killed_child_that_waits_is_replaced),
    ("one_child_waits_and_ends_with_the_server", one_child_waits_and_ends_with_the_server),
    ("the_default_is_the_fork_server", the_default_is_the_fork_server),
    ("a_preload_is_seen_by_all_children", a_preload_is_seen_by_all_children),
    ("a_preload_that_panics_is_an_error", a_preload_that_panics_is_an_error),
    ("a_capture_needs_fork", a_capture_needs_fork),
];

/// The parent's parent in the kernel's eyes: for a child of the server, the server.
fn server_of() -> i32 {
    std::os::unix::process::parent_id() as i32
}

fn kill(pid: i32) {
    mp_sys::pidfd::signal(mp_sys::pidfd::open(pid).unwrap(), 9).unwrap();
}

fn a_killed_server_is_replaced() {
    let finish = || {
        std::thread::sleep(Duration::from_millis(200));
        42
    };
    let running = Process::call(finish).start().unwrap();
    let server = Process::call(server_of).start().unwrap().join().unwrap();
    kill(server);
    let stat = || std::fs::read_to_string(format!("/proc/{server}/stat")).unwrap_or_default();
    while !stat().is_empty() && !stat().contains(") Z") {
        std::thread::sleep(Duration::from_millis(1));
    }
    let other = Process::call(server_of).start().unwrap().join().unwrap();
    assert_ne!(server, other);
    // The running child goes on, and its value comes.
    assert_eq!(running.join_timeout(SOON).unwrap(), 42);
    assert!([ExitStatus::Exited(0), ExitStatus::Unknown].contains(&running.wait()));
}

fn children_of(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The children that the server has made ahead, once there is one.
fn waiting(server: i32) -> Vec<i32> {
    let late = Instant::now() + SOON;
    loop {
        let children = children_of(server);
        if !children.is_empty() {
            return children;
        }
        assert!(Instant::now() < late, "no child waits");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn all_go(pids: &[i32]) {
    let late = Instant::now() + SOON;
    while pids.iter().any(|pid| std::fs::exists(format!("/proc/{pid}")).unwrap()) {
        assert!(Instant::now() < late, "one of {pids:?} is left");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn a_killed_child_that_waits_is_replaced() {
    let server = Process::call(server_of).start().unwrap().join().unwrap();
    for round in 0..10 {
        let killed = waiting(server);
        killed.iter().for_each(|pid| kill(*pid));
        all_go(&killed);
        let child = Process::new(|n: u32| (n, server_of()), round).start().unwrap();
        assert_eq!(child.join_timeout(SOON).unwrap(), (round, server), "by the same server");
    }
}

fn one_child_waits_and_ends_with_the_server() {
    // In a process of its own, which has a server of its own.
    let child = Process::call(|| {
        let server = Process::call(server_of).start().unwrap().join().unwrap();
        (server, waiting(server))
    });
    let (server, waiting) = child.start().unwrap().join_timeout(SOON).unwrap();
    assert_eq!(waiting.len(), 1);
    all_go(&[server, waiting[0]]);
}

fn the_default_is_the_fork_server() {
    let parent = Process::call(server_of).start().unwrap().join().unwrap();
    assert_ne!(parent, std::process::id() as i32);
    assert_eq!(Process::call(server_of).start().unwrap().join().unwrap(), parent);
}

static LOADED: AtomicU32 = AtomicU32::new(0);

fn a_preload_is_seen_by_all_children() {
    let look = || LOADED.load(Ordering::Relaxed);
    // In a process of its own: what is preloaded stays.
    let child = Process::call(|| {
        preload(|| {
            LOADED.fetch_add(5, Ordering::Relaxed);
        });
        let children = [0; 3].map(|_| Process::call(|| LOADED.load(Ordering::Relaxed)).start());
        let seen: Vec<u32> = children.into_iter().map(|c| c.unwrap().join().unwrap()).collect();
        preload(|| {
            LOADED.fetch_add(1, Ordering::Relaxed);
        });
        let later = Process::call(|| LOADED.load(Ordering::Relaxed)).start().unwrap();
        (seen, later.join().unwrap(), LOADED.load(Ordering::Relaxed))
    });
    assert_eq!(child.start().unwrap().join_timeout(SOON).unwrap(), (vec![5, 5, 5], 6, 0));
    assert_eq!(look(), 0);
}

fn a_preload_that_panics_is_an_error() {
    let child = Process::call(|| {
        preload(|| panic!("on purpose"));
        match Process::call(|| ()).start() {
            Err(Error::Preload(reason)) => reason,
            other => format!("{other:?}"),
        }
    });
    let reason = child.stderr(mp_process::Stdio::Null).start().unwrap().join().unwrap();
    assert!(reason.contains("on purpose"), "{reason}");
}

fn a_capture_needs_fork() {
    let text = "captured".to_string();
    let child = Process::forked(move || text.len()).start().unwrap();
    assert_eq!(child.join().unwrap(), 8);
    let refused = Process::forked(|| 1).method(mp_process::StartMethod::Spawn).start();
    assert!(matches!(refused, Err(Error::NeedsFork)));
}
