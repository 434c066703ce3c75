//! Story (complaint C35): a large input that every task needs is copied into every worker.

use std::fs::read_to_string;
use std::os::fd::AsRawFd;

use mp_shm::{Frozen, Value};
use mp_sys::pidfd::Status;

use crate::child::{Child, start_with, until};

pub(crate) fn eight_processes_have_it_once() {
    let long = std::env::var_os("MP_LONG").is_some();
    let len: usize = if long { 1 << 27 } else { 1 << 23 };
    let mut builder = Frozen::<u64>::builder(len).unwrap();
    for (element, n) in builder.iter_mut().zip(0..) {
        *element = n;
    }
    let frozen = builder.freeze().unwrap();
    let (ready, done) = (Value::new(0_u32).unwrap(), Value::new(false).unwrap());
    let expected = (len as u64) * (len as u64 - 1) / 2;
    let children: Vec<Child> = (0..8)
        .map(|_| {
            start_with(
                &(frozen.clone(), ready.clone(), done.clone()),
                move |(table, ready, done)| {
                    assert_eq!(table.iter().sum::<u64>(), expected);
                    ready.fetch_add(1);
                    until(|| done.load());
                    assert_eq!(table[len - 1], len as u64 - 1);
                },
            )
        })
        .collect();
    until(|| ready.load() == 8);
    // Each process's share: what n of them have counts as one n-th for each.
    let pids = children.iter().map(|child| child.pid).chain([std::process::id() as i32]);
    let total: u64 = pids.map(pss).sum();
    done.store(true);
    children.into_iter().for_each(Child::join);
    let size = len as u64 * 8 / 1024;
    eprintln!("{} MiB, read by 8 processes, take {} MiB in all", size >> 10, total >> 10);
    assert!(total < size + size / 10 + 40 * 1024, "{total} KiB for {size} KiB");
}

fn pss(pid: i32) -> u64 {
    let text = read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The builder is ours alone: a forked child that used it would write memory that we hold as
/// `&mut`, so the kernel ends it. And sealing is for good, whoever opens the memory.
pub(crate) fn no_process_can_write_it() {
    let mut builder = Frozen::<u8>::builder(4096).unwrap();
    builder[0] = 1;
    let status = Child::start(|| builder[0] = 2).status();
    // SIGSEGV, which a sanitizer turns into an exit.
    assert!(matches!(status, Status::Signaled(11) | Status::Exited(1)), "{status:?}");
    assert_eq!(builder[0], 1);
    let frozen = builder.freeze().unwrap();
    start_with(&frozen, |frozen| {
        use std::os::fd::AsFd;
        let path = format!("/proc/self/fd/{}", frozen.as_fd().as_raw_fd());
        if let Ok(file) = std::fs::File::options().write(true).open(path) {
            rustix::io::pwrite(&file, b"x", 64).unwrap_err();
            file.set_len(0).unwrap_err();
        }
    })
    .join();
    assert_eq!(frozen[0], 1);
}
