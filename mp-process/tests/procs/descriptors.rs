//! Who has which descriptors: only what was named reaches a child, and nothing stays behind.

use std::fs::File;
use std::os::fd::AsRawFd;

use mp_process::{Fd, Process, StartMethod};

use crate::{Row, SOON};

pub(crate) const ROWS: &[Row] = &[
    ("only_named_descriptors_reach_a_child", only_named_descriptors_reach_a_child),
    ("nothing_stays_in_the_parent", nothing_stays_in_the_parent),
    ("closed_standard_descriptors_disturb_nothing", closed_standard_descriptors),
];

fn open() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.map(|link| link.display().to_string()).filter(|link| !link.contains("/fd")).collect()
}

fn only_named_descriptors_reach_a_child(method: StartMethod) {
    let inheritable = File::open("/etc/passwd").unwrap();
    mp_sys::stdio::duplicate(0);
    let keep: Vec<File> = (0..20).map(|_| inheritable.try_clone().unwrap()).collect();
    let named = File::open("/etc/group").unwrap();
    let look = |fd: Fd| {
        let open = open();
        drop(fd);
        open
    };
    let child = Process::new(look, Fd::from(named)).method(method).start().unwrap();
    let open = child.join().unwrap();
    drop(keep);
    assert_eq!(open.iter().filter(|link| link.contains("group")).count(), 1);
    if method == StartMethod::Fork {
        return; // a copy of the process, with all that it has open
    }
    assert_eq!(open.iter().filter(|link| link.contains("passwd")).count(), 0, "{open:?}");
    // Three standard ones, the socket, the parent's pidfd, the program, /dev/null, the named one.
    assert!(open.len() <= 8, "{open:?}");
}

fn nothing_stays_in_the_parent(method: StartMethod) {
    let cycle = |n: usize| {
        for _ in 0..n {
            let child = Process::new(|x: u32| x, 1).daemon(true).method(method).start().unwrap();
            child.join().unwrap();
        }
        mp_process::active_children();
    };
    cycle(3);
    let before = open().len();
    cycle(30);
    assert_eq!(open().len(), before);
}

/// In a process of its own, since it closes its standard descriptors.
fn closed_standard_descriptors(method: StartMethod) {
    #[expect(clippy::print_stdout, reason = "it is closed output that is tested")]
    fn with_closed(method: u8) -> Vec<u64> {
        close_standard_descriptors();
        let method = crate::METHODS[usize::from(method)];
        let children: Vec<_> = (0..3u64)
            .map(|n| {
                let speak = |n: u64| {
                    println!("into nothing");
                    n * 2
                };
                Process::new(speak, n).method(method).start().unwrap()
            })
            .collect();
        children.iter().map(|child| child.join_timeout(SOON).unwrap()).collect()
    }
    let at = crate::METHODS.iter().position(|other| *other == method).unwrap() as u8;
    let child = Process::new(with_closed, at).method(StartMethod::Spawn).start().unwrap();
    assert_eq!(child.join_timeout(SOON).unwrap(), [0, 2, 4]);
}

#[expect(unsafe_code, reason = "the standard descriptors have no owner")]
fn close_standard_descriptors() {
    use std::os::fd::FromRawFd;
    for fd in 0..3 {
        // SAFETY: nothing in this process owns the standard descriptors.
        drop(unsafe { File::from_raw_fd(fd) });
    }
    let file = File::open("/dev/null").unwrap();
    assert_eq!(file.as_raw_fd(), 0, "they are closed");
}
