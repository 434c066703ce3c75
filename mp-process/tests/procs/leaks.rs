//! Thousands of children, and nothing of them left.

use std::time::{Duration, Instant};

use mp_process::{Process, StartMethod};

use crate::{Row, SOON, rounds};

pub(crate) const ROWS: &[Row] = &[
    ("cycles_leave_nothing", cycles_leave_nothing),
    ("a_dropped_handle_leaves_no_zombie", a_dropped_handle_leaves_no_zombie),
];

/// Whether the kernel knows the process, if only as a zombie.
fn is_known(pid: i32) -> bool {
    std::fs::exists(format!("/proc/{pid}")).unwrap()
}

fn a_dropped_handle_leaves_no_zombie(method: StartMethod) {
    let start = |millis: u64| {
        let sleep = |millis| std::thread::sleep(Duration::from_millis(millis));
        Process::new(sleep, millis).method(method).start().unwrap()
    };
    // Dropped after its end.
    let ended = start(0);
    assert_eq!(mp_ipc::wait(&[&ended], Some(SOON)).unwrap(), [0]);
    let first = ended.pid();
    drop(ended);
    // Dropped before its end: what is left goes with the next start.
    let running = start(20);
    let second = running.pid();
    drop(running);
    let state = || std::fs::read_to_string(format!("/proc/{second}/stat")).unwrap_or_default();
    let late = Instant::now() + SOON;
    while is_known(second) && !state().contains(") Z") {
        assert!(Instant::now() < late);
        std::thread::sleep(Duration::from_millis(1));
    }
    let other = start(0);
    assert!(!is_known(first) || method == StartMethod::ForkServer, "dropped after its end");
    // The server's children are the server's to reap, which it does at once.
    while is_known(first) || is_known(second) {
        assert!(method == StartMethod::ForkServer && Instant::now() < late);
        std::thread::sleep(Duration::from_millis(1));
    }
    other.join().unwrap();
}

/// What a process has in use.
#[derive(Debug)]
struct Used {
    descriptors: usize,
    /// Children, and zombies among them.
    children: usize,
    kib: usize,
}

fn used(pid: i32) -> Used {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let status = read("status");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let children = read(&format!("task/{pid}/children"));
    Used {
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        children: children.split_whitespace().count(),
        kib: kib.trim().trim_end_matches(" kB").parse().unwrap(),
    }
}

/// Of this process, and of its fork server.
fn all_used(server: Option<i32>) -> Vec<Used> {
    mp_process::active_children();
    [Some(std::process::id() as i32), server].into_iter().flatten().map(used).collect()
}

/// `MP_ROUNDS=10000` says how many; by default it is enough to see a leak of a page each.
fn cycles_leave_nothing(method: StartMethod) {
    let start =
        |n: u32| Process::new(|n: u32| n, n).daemon(n.is_multiple_of(2)).method(method).start();
    let server = (method == StartMethod::ForkServer).then(|| {
        let server = || std::os::unix::process::parent_id() as i32;
        Process::call(server).start().unwrap().join().unwrap()
    });
    let cycle = |count: u32| {
        for n in 0..count {
            let child = start(n).unwrap();
            // One in three is dropped while it runs.
            if n % 3 > 0 {
                assert_eq!(child.join().unwrap(), n);
            }
        }
        mp_process::active_children().iter().for_each(|child| {
            child.wait();
        });
    };
    let count = rounds(150);
    cycle(50);
    let before = all_used(server);
    cycle(count);
    let mut after = all_used(server);
    let late = Instant::now() + SOON;
    // The server lets go of a child a moment after it has told the status.
    while after.iter().zip(&before).any(|(a, b)| a.descriptors > b.descriptors) {
        assert!(Instant::now() < late, "{before:?} {after:?}");
        std::thread::sleep(Duration::from_millis(1));
        after = all_used(server);
    }
    crate::report(&format!("{method:?}: {count} cycles, from {before:?} to {after:?}"));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.children, before.children);
        assert!(after.kib <= before.kib + 400, "{before:?} {after:?}");
    }
}
