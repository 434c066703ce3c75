//! Names, kinship, and who is there.

use std::time::Duration;

use mp_process::{Process, StartMethod, active_children, current, parent};

use crate::{Row, SOON};

pub(crate) const ROWS: &[Row] = &[
    ("names_are_numbered_and_nested", names_are_numbered_and_nested),
    ("a_child_knows_its_parent", a_child_knows_its_parent),
    ("a_grandchild_sees_its_parent_die", a_grandchild_sees_its_parent_die),
    ("active_children_are_those_that_live", active_children_are_those_that_live),
    ("daemon_is_inherited", daemon_is_inherited),
];

fn name() -> String {
    current().name().to_string()
}

fn nested(method: u8) -> (String, String, String) {
    let method = crate::METHODS[usize::from(method)];
    let first = Process::call(name).method(method).start().unwrap();
    let second = Process::call(name).method(method).start().unwrap();
    (name(), first.join().unwrap(), second.join().unwrap())
}

fn index(method: StartMethod) -> u8 {
    crate::METHODS.iter().position(|other| *other == method).unwrap() as u8
}

fn names_are_numbered_and_nested(method: StartMethod) {
    let child = Process::new(nested, index(method)).method(method).start().unwrap();
    let (own, first, second) = child.join().unwrap();
    assert_eq!(own, child.name());
    assert!(own.starts_with("Process-") && !own.contains(':'), "{own}");
    assert_eq!((first, second), (format!("{own}:1"), format!("{own}:2")));
    let child = Process::call(name).name("worker").method(method).start().unwrap();
    assert_eq!((child.name(), child.join().unwrap()), ("worker", "worker".to_string()));
}

fn a_child_knows_its_parent(method: StartMethod) {
    fn look() -> (i32, i32, String, bool, bool) {
        let parent = parent().unwrap();
        let ended = parent.wait_timeout(Duration::from_millis(1));
        (current().pid(), parent.pid(), parent.name().to_string(), parent.is_alive(), ended)
    }
    let child = Process::call(look).method(method).start().unwrap();
    let me = std::process::id() as i32;
    let name = "MainProcess".to_string();
    assert_eq!(child.join().unwrap(), (child.pid(), me, name, true, false));
}

fn a_grandchild_sees_its_parent_die(method: StartMethod) {
    fn grandchild(done: mp_ipc::Sender<bool>) {
        let parent = parent().unwrap();
        done.send(&parent.is_alive()).unwrap();
        parent.wait();
        done.send(&parent.is_alive()).unwrap();
    }
    fn child((done, method): (mp_ipc::Sender<bool>, u8)) {
        let method = crate::METHODS[usize::from(method)];
        Process::new(grandchild, done).daemon(false).method(method).start().unwrap();
        std::thread::sleep(SOON);
    }
    let (sender, receiver) = mp_ipc::simplex::<bool>().unwrap();
    let child = Process::new(child, (sender, index(method))).method(method).start().unwrap();
    assert!(receiver.recv_timeout(SOON).unwrap());
    child.kill().unwrap();
    assert!(!receiver.recv_timeout(SOON).unwrap());
}

fn active_children_are_those_that_live(method: StartMethod) {
    let sleep = || std::thread::sleep(SOON);
    let long = Process::call(sleep).name("long").method(method).start().unwrap();
    let short = Process::call(|| ()).name("short").method(method).start().unwrap();
    short.join().unwrap();
    let names: Vec<_> = active_children().iter().map(|c| c.name().to_string()).collect();
    assert_eq!(names, ["long"]);
    active_children()[0].kill().unwrap();
    long.wait();
    assert!(active_children().is_empty());
    let child = Process::call(|| active_children().len()).method(method).start().unwrap();
    assert_eq!(child.join().unwrap(), 0, "a child has none of its parent's");
}

fn daemon_is_inherited(method: StartMethod) {
    fn inner(method: u8) -> (bool, bool) {
        let method = crate::METHODS[usize::from(method)];
        let child = Process::call(|| current().is_daemon()).method(method).start().unwrap();
        (current().is_daemon(), child.join().unwrap())
    }
    for daemon in [true, false] {
        let child = Process::new(inner, index(method)).daemon(daemon).method(method).start();
        assert_eq!(child.unwrap().join().unwrap(), (daemon, daemon));
    }
}
