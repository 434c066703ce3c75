use std::time::Duration;

use mp_sys::epoll::{Epoll, Watch};
use mp_sys::signal::{self, Blocked, Disposition};
use mp_sys::socket::stream_pair;
use mp_sys::{Deadline, Errno, sched};

#[test]
fn epoll_says_which_and_what() {
    const READ: Watch = Watch { readable: true, writable: false };
    let epoll = Epoll::new().unwrap();
    let (here, there) = stream_pair().unwrap();
    epoll.add(&here, 7, READ).unwrap();
    assert_eq!(epoll.add(&here, 8, READ), Err(Errno::EXIST));
    assert_eq!(epoll.change(&there, 8, READ), Err(Errno::NOENT));
    let regular = std::fs::File::open("/proc/self/exe").unwrap();
    assert_eq!(epoll.add(&regular, 9, READ), Err(Errno::PERM), "it is always ready");
    let soon = || Some(Deadline::after(Duration::from_millis(1)));
    assert_eq!(epoll.wait(4, soon()), Ok(vec![]));
    epoll.change(&here, 7, Watch { readable: true, writable: true }).unwrap();
    let ready = epoll.wait(4, None).unwrap();
    assert_eq!(
        (ready.len(), ready[0].token, ready[0].readable, ready[0].writable),
        (1, 7, false, true)
    );
    epoll.change(&here, 7, READ).unwrap();
    drop(there);
    let ready = epoll.wait(4, None).unwrap();
    assert!(ready[0].token == 7 && ready[0].ended && ready[0].readable);
    epoll.remove(&here).unwrap();
    assert_eq!(epoll.remove(&here), Err(Errno::NOENT));
    assert_eq!(epoll.wait(4, soon()), Ok(vec![]));
}

#[test]
fn a_signals_disposition_is_what_was_set() {
    const SIGURG: i32 = 23;
    assert_eq!(signal::disposition(SIGURG), Disposition::Default);
    signal::ignore(SIGURG);
    signal::reset_all_handlers();
    assert_eq!(signal::disposition(SIGURG), Disposition::Ignored, "what is ignored stays so");
    signal::restore(SIGURG);
    assert_eq!(signal::disposition(SIGURG), Disposition::Default);
    signal::ignore(999);
    assert_eq!(signal::disposition(999), Disposition::Default, "there is no such signal");
}

#[test]
fn signals_are_blocked_for_a_while() {
    let blocked = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
        u64::from_str_radix(mask, 16).unwrap()
    };
    let before = blocked();
    let guard = Blocked::new();
    assert!(blocked() >> 14 & 1 == 1 && blocked() >> 8 & 1 == 0, "SIGTERM, and never SIGKILL");
    drop(guard);
    assert_eq!(blocked(), before);
    signal::unblock_all();
    assert_eq!(blocked(), 0);
}

#[test]
fn a_thread_runs_where_it_may() {
    let one = sched::affinity().unwrap()[..1].to_vec();
    let told = one.clone();
    let thread = std::thread::spawn(move || {
        sched::set_affinity(&told).unwrap();
        sched::affinity().unwrap()
    });
    assert_eq!(thread.join().unwrap(), one);
    assert_eq!(sched::set_affinity(&[]), Err(Errno::INVAL));
    assert_eq!(sched::set_affinity(&[usize::MAX]), Err(Errno::INVAL));
}
