//! Where somebody else takes the status of our children.

use mp_process::{ExitStatus, Process, StartMethod};

use crate::{Row, SOON};

pub(crate) const ROWS: &[Row] =
    &[("sigchld_ignored", sigchld_ignored), ("a_foreign_wait_for_any", a_foreign_wait_for_any)];

fn statuses(method: u8) -> Vec<ExitStatus> {
    let method = crate::METHODS[usize::from(method)];
    let exit = |code: i32| std::process::exit(code);
    let children: Vec<_> = (0..20)
        .map(|code| Process::<()>::new(exit, code).method(method).start().unwrap())
        .collect();
    children.iter().map(|child| child.wait_timeout(SOON).expect("no hang")).collect()
}

fn check(statuses: Vec<ExitStatus>) {
    for (code, status) in (0..).zip(statuses) {
        // The right one, or none: never a wrong one.
        assert!([ExitStatus::Exited(code), ExitStatus::Unknown].contains(&status), "{status}");
    }
}

fn index(method: StartMethod) -> u8 {
    crate::METHODS.iter().position(|other| *other == method).unwrap() as u8
}

fn sigchld_ignored(method: StartMethod) {
    fn ignoring(method: u8) -> Vec<ExitStatus> {
        mp_sys::signal::ignore(17);
        statuses(method)
    }
    let child = Process::new(ignoring, index(method)).method(StartMethod::Spawn).start().unwrap();
    check(child.join_timeout(SOON * 2).unwrap());
}

/// What a handler of `SIGCHLD` in some library does.
#[expect(unsafe_code, reason = "a signal handler is installed")]
fn a_foreign_wait_for_any(method: StartMethod) {
    unsafe extern "C" {
        fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
        fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    }
    extern "C" fn reap(_: i32) {
        // SAFETY: waitpid(2) is async-signal-safe and need not report the status.
        while unsafe { waitpid(-1, std::ptr::null_mut(), 1) } > 0 {}
    }
    fn reaping(method: u8) -> Vec<ExitStatus> {
        // SAFETY: the handler is a function, and async-signal-safe.
        unsafe { signal(17, reap) };
        statuses(method)
    }
    let child = Process::new(reaping, index(method)).method(StartMethod::Spawn).start().unwrap();
    check(child.join_timeout(SOON * 2).unwrap());
}
