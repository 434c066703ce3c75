//! A signal every millisecond changes nothing.
#![expect(unsafe_code, reason = "a handler and a timer")]

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_ipc::{Connection, Error, Key, Listener, connect, pipe, wait};

use crate::child::Child;
use crate::trial;

static CAUGHT: AtomicU32 = AtomicU32::new(0);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("interruptions_are_invisible", interruptions_are_invisible),
        trial("there_is_never_a_sigpipe", there_is_never_a_sigpipe),
    ]
}

extern "C" fn caught(_signal: i32) {
    // Relaxed: a count.
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

fn alarms(every_micros: i64) {
    let every = libc::timeval { tv_sec: 0, tv_usec: every_micros };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: all-zero bytes are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // Without SA_RESTART, so that each system call in progress is interrupted.
    action.sa_sigaction = caught as *const () as usize;
    // SAFETY: the handler does nothing but count.
    assert_eq!(unsafe { libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) }, 0);
    // SAFETY: `timer` lives through the call.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

fn interruptions_are_invisible() {
    let key = Key::random().unwrap();
    let listener = Listener::private(Some(key.clone())).unwrap();
    let (here, there) = pipe::<Vec<u8>, Vec<u8>>().unwrap();
    let slow = Duration::from_millis(30);
    let child = Child::run(|| {
        for _ in 0..10 {
            std::thread::sleep(slow);
            there.send(&there.recv().unwrap()).unwrap();
        }
        std::thread::sleep(slow);
        let client: Connection<u8> = connect(listener.address(), Some(&key)).unwrap();
        std::thread::sleep(slow);
        client.send(&1).unwrap();
    });
    alarms(1000);
    let start = Instant::now();
    assert!(matches!(here.recv_timeout(slow), Err(Error::TimedOut)));
    assert!(start.elapsed() >= slow);
    for number in 0..10 {
        // More than the socket holds: both sending and receiving wait.
        let big = vec![number; 1_000_000];
        here.send(&big).unwrap();
        assert!(here.recv().unwrap() == big);
    }
    let server: Connection<u8> = listener.accept_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(wait(&[&server as &dyn AsFd], None).unwrap(), [0]);
    assert!(server.poll(slow).unwrap());
    assert_eq!(server.recv().unwrap(), 1);
    alarms(0);
    let count = CAUGHT.load(Ordering::Relaxed);
    assert!(count > 100, "there were only {count} interruptions");
    child.succeed();
}

fn there_is_never_a_sigpipe() {
    let child = Child::run(|| {
        // As in a program that is not Rust's: Rust ignores the signal from the start.
        mp_sys::signal::restore(libc::SIGPIPE);
        for len in [0, 100, 100_000] {
            let (here, there) = pipe::<(), ()>().unwrap();
            drop(there);
            assert!(matches!(here.send_bytes(&vec![0; len]), Err(Error::Closed)));
        }
        let (one, other) = mp_ipc::Wire::pair().unwrap();
        drop(other);
        let fds = (0..300).map(|_| one.as_fd().try_clone_to_owned().unwrap()).collect();
        let many = mp_ipc::Message { bytes: Vec::new(), fds };
        assert!(matches!(one.send(&many, None), Err(Error::Closed)));
    });
    child.succeed();
}
