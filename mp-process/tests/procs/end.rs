//! How children end, and what their parent learns of it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use mp_process::{Error, ExitStatus, Process, StartMethod, Stdio};

use crate::call::{tempfile, text};
use crate::{Row, SOON};

pub(crate) const ROWS: &[Row] = &[
    ("exit_codes", exit_codes),
    ("signals_end_a_child", signals_end_a_child),
    ("waiting_with_a_timeout", waiting_with_a_timeout),
    ("the_sentinel_is_ready_at_the_end", the_sentinel_is_ready_at_the_end),
    ("output_is_flushed", output_is_flushed),
    ("a_hundred_short_and_a_hundred_terminated", a_hundred_short_and_a_hundred_terminated),
    ("dropped_handles_leave_no_zombies", dropped_handles_leave_no_zombies),
    ("a_child_waits_for_its_own", a_child_waits_for_its_own),
];

fn sleep() {
    std::thread::sleep(SOON);
}

fn exit_codes(method: StartMethod) {
    let start = |f: fn(i32)| move |n: i32| Process::new(f, n).method(method).start().unwrap();
    for code in [0, 3, 255] {
        let exit = start(|code| std::process::exit(code))(code);
        let Err(Error::Exited(status)) = exit.join() else { panic!() };
        assert_eq!((status, exit.exitcode()), (ExitStatus::Exited(code), Some(code)));
    }
    let abort = start(|_| std::process::abort())(0);
    assert_eq!((abort.wait(), abort.exitcode()), (ExitStatus::Signaled(6), Some(-6)));
    let panic = Process::call(|| panic!("on purpose")).method(method).stderr(Stdio::Null);
    let panic: mp_process::Child<()> = panic.start().unwrap();
    assert_eq!(panic.wait(), ExitStatus::Exited(101));
}

fn signals_end_a_child(method: StartMethod) {
    let start = || Process::call(sleep).method(method).start().unwrap();
    let (a, b, c, d) = (start(), start(), start(), start());
    assert_eq!(a.status(), None);
    a.terminate().unwrap();
    b.kill().unwrap();
    c.interrupt().unwrap();
    d.signal(10).unwrap();
    let codes = [&a, &b, &c, &d].map(|child| child.wait_timeout(SOON).unwrap().number().unwrap());
    assert_eq!(codes, [-15, -9, -2, -10]);
    a.terminate().unwrap(); // it has ended: nothing happens
    assert!(a.signal(1000).is_err() || !a.is_alive());
}

fn waiting_with_a_timeout(method: StartMethod) {
    let child = Process::call(sleep).method(method).start().unwrap();
    let begin = Instant::now();
    assert_eq!(child.wait_timeout(Duration::from_millis(30)), None);
    assert!(matches!(child.join_timeout(Duration::ZERO), Err(Error::TimedOut)));
    assert!(begin.elapsed() >= Duration::from_millis(30) && child.is_alive());
    child.kill().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(child.wait(), ExitStatus::Signaled(9)));
        }
    });
}

fn the_sentinel_is_ready_at_the_end(method: StartMethod) {
    let long = Process::call(sleep).method(method).start().unwrap();
    let short = Process::call(|| ()).method(method).start().unwrap();
    let ready = mp_ipc::wait(&[&long.as_fd(), &short.as_fd()], Some(SOON)).unwrap();
    assert_eq!(ready, [1]);
    assert_eq!(short.status(), Some(ExitStatus::Exited(0)), "known as soon as it is ready");
    long.kill().unwrap();
    long.wait();
}

fn output_is_flushed(method: StartMethod) {
    #[expect(clippy::print_stdout, reason = "it is the output that is tested")]
    fn print(end: u8) {
        print!("no newline");
        match end {
            0 => {}
            1 => std::process::exit(0),
            _ => panic!(),
        }
    }
    for end in 0..3 {
        let mut output = tempfile();
        let child = Process::new(print, end)
            .method(method)
            .stdout(output.try_clone().unwrap())
            .stderr(Stdio::Null)
            .start()
            .unwrap();
        child.wait();
        assert_eq!(text(&mut output), "no newline");
    }
}

fn a_hundred_short_and_a_hundred_terminated(method: StartMethod) {
    let short: Vec<_> = (0..100u32)
        .map(|n| Process::new(|n: u32| n + 1, n).method(method).start().unwrap())
        .collect();
    let long: Vec<_> =
        (0..100).map(|_| Process::call(sleep).method(method).start().unwrap()).collect();
    long.iter().for_each(|child| child.terminate().unwrap());
    for (n, child) in short.iter().enumerate() {
        assert_eq!(child.join_timeout(SOON).unwrap(), n as u32 + 1);
    }
    for child in &long {
        assert_eq!(child.wait_timeout(SOON), Some(ExitStatus::Signaled(15)));
    }
}

fn dropped_handles_leave_no_zombies(method: StartMethod) {
    let pids: Vec<i32> =
        (0..20).map(|_| Process::call(|| ()).method(method).start().unwrap().pid()).collect();
    let gone = |pid: &i32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    let late = Instant::now() + SOON;
    while !pids.iter().all(gone) {
        mp_process::active_children();
        assert!(Instant::now() < late, "zombies are left");
    }
}

/// A function that returns while children of its process run: they are waited for.
fn a_child_waits_for_its_own(method: StartMethod) {
    fn outer((done, method): (mp_ipc::Sender<u8>, u8)) {
        let method = crate::METHODS[usize::from(method)];
        let inner = |done: mp_ipc::Sender<u8>| {
            std::thread::sleep(Duration::from_millis(50));
            done.send(&7).unwrap();
        };
        Process::new(inner, done).method(method).start().unwrap();
        Process::call(sleep).daemon(true).method(method).start().unwrap();
    }
    let at = crate::METHODS.iter().position(|other| *other == method).unwrap() as u8;
    let (sender, receiver) = mp_ipc::simplex::<u8>().unwrap();
    let begin = Instant::now();
    let child = Process::new(outer, (sender, at)).method(method).start().unwrap();
    child.join_timeout(SOON).unwrap();
    assert_eq!(receiver.try_recv().unwrap(), 7, "it had been sent before the end");
    assert!(begin.elapsed() < SOON / 2, "the daemonic one was ended");
}
