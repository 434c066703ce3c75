//! Who learns of a death, and who goes with whom.

use std::time::{Duration, Instant};

use mp_process::{Process, StartMethod, active_children};

use crate::{METHODS, Row, SOON};

pub(crate) const ROWS: &[Row] = &[
    ("daemons_die_with_a_killed_parent", daemons_die_with_a_killed_parent),
    ("a_daemon_outlives_the_thread_that_started_it", a_daemon_outlives_its_thread),
    ("a_daemon_of_a_thread_dies_with_a_killed_parent", a_daemon_of_a_thread),
    ("a_sibling_does_not_keep_a_daemon_alive", a_sibling_does_not_keep_a_daemon_alive),
    ("terminating_a_daemon_ends_its_daemons", terminating_a_daemon_ends_its_daemons),
];

type Pids = mp_ipc::Sender<i32>;

fn index(method: StartMethod) -> u8 {
    METHODS.iter().position(|other| *other == method).unwrap() as u8
}

fn sleep() {
    std::thread::sleep(SOON);
}

/// A daemonic child that has a daemonic child, down to `depth`; each tells its pid.
fn tree((pids, method, depth): (Pids, u8, u8)) {
    pids.send(&(std::process::id() as i32)).unwrap();
    if depth > 0 {
        let next = (pids, method, depth - 1);
        let method = METHODS[usize::from(method)];
        Process::new(tree, next).daemon(true).method(method).start().unwrap();
    }
    sleep();
}

fn runs(pid: i32) -> bool {
    // A zombie that nobody reaps has ended too.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

fn all_end(pids: &[i32]) {
    let late = Instant::now() + Duration::from_secs(1);
    while let Some(pid) = pids.iter().find(|pid| runs(**pid)) {
        assert!(Instant::now() < late, "process {pid} is left");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn daemons_die_with_a_killed_parent(method: StartMethod) {
    let (sender, receiver) = mp_ipc::simplex::<i32>().unwrap();
    let top = Process::new(tree, (sender, index(method), 3)).method(method).start().unwrap();
    let pids: Vec<i32> = (0..4).map(|_| receiver.recv_timeout(SOON).unwrap()).collect();
    // The fork servers in the tree are children of processes in the tree.
    let below: Vec<i32> = pids.iter().flat_map(|pid| children_of(*pid)).collect();
    top.kill().unwrap();
    top.wait();
    all_end(&pids);
    all_end(&below);
}

fn children_of(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn a_daemon_outlives_its_thread(method: StartMethod) {
    if method == StartMethod::Fork {
        return; // a second thread makes it refuse
    }
    let start = move || Process::call(sleep).daemon(true).method(method).start().unwrap();
    let child = std::thread::spawn(start).join().unwrap();
    assert_eq!(child.wait_timeout(Duration::from_millis(50)), None);
    child.kill().unwrap();
    child.wait();
}

/// The thread that started it is long gone when its parent is killed.
fn a_daemon_of_a_thread(method: StartMethod) {
    if method == StartMethod::Fork {
        return; // a second thread makes it refuse
    }
    fn top((pids, method): (Pids, u8)) {
        let start = move || {
            let daemon = Process::call(sleep).daemon(true).method(METHODS[usize::from(method)]);
            daemon.start().unwrap().pid()
        };
        pids.send(&std::thread::spawn(start).join().unwrap()).unwrap();
        sleep();
    }
    let (sender, receiver) = mp_ipc::simplex::<i32>().unwrap();
    let top = Process::new(top, (sender, index(method))).method(method).start().unwrap();
    let daemon = receiver.recv_timeout(SOON).unwrap();
    assert!(runs(daemon));
    top.kill().unwrap();
    top.wait();
    all_end(&[daemon]);
}

/// A child made by plain fork later has copies of all that its parent had open.
fn a_sibling_does_not_keep_a_daemon_alive(method: StartMethod) {
    fn top((pids, method): (Pids, u8)) {
        let method = METHODS[usize::from(method)];
        let daemon = Process::call(sleep).daemon(true).method(method).start().unwrap();
        pids.send(&daemon.pid()).unwrap();
        let sibling = Process::call(sleep).daemon(false).method(StartMethod::Fork).start().unwrap();
        pids.send(&sibling.pid()).unwrap();
        sleep();
    }
    let (sender, receiver) = mp_ipc::simplex::<i32>().unwrap();
    let top =
        Process::new(top, (sender, index(method))).method(StartMethod::Spawn).start().unwrap();
    let (daemon, sibling) =
        (receiver.recv_timeout(SOON).unwrap(), receiver.recv_timeout(SOON).unwrap());
    top.kill().unwrap();
    top.wait();
    all_end(&[daemon]);
    assert!(runs(sibling), "it is not daemonic");
    mp_sys::pidfd::signal(mp_sys::pidfd::open(sibling).unwrap(), 9).unwrap();
    all_end(&[sibling]);
}

fn terminating_a_daemon_ends_its_daemons(method: StartMethod) {
    let (sender, receiver) = mp_ipc::simplex::<i32>().unwrap();
    let top = Process::new(tree, (sender, index(method), 1)).method(method).start().unwrap();
    let pids = [receiver.recv_timeout(SOON).unwrap(), receiver.recv_timeout(SOON).unwrap()];
    top.terminate().unwrap();
    assert_eq!(top.wait().number(), Some(-15));
    all_end(&pids);
    assert!(active_children().is_empty());
}
