//! A signal every millisecond changes nothing.
#![expect(unsafe_code, reason = "a handler and a timer")]

use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_ipc::{Connection, Error, Fd, JoinableQueue, Key, Listener, Queue, connect, pipe, wait};
use mp_sync::{Barrier, Condvar, Event, Mutex, RwLock, Semaphore};

use crate::child::Child;
use crate::trial;

static CAUGHT: AtomicU32 = AtomicU32::new(0);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("interruptions_are_invisible", interruptions_are_invisible),
        trial("a_storm_of_handlers_is_invisible", a_storm_of_handlers_is_invisible),
        trial("there_is_never_a_sigpipe", there_is_never_a_sigpipe),
    ]
}

extern "C" fn caught(_signal: i32) {
    // Relaxed: a count.
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

const SLOW: Duration = Duration::from_millis(30);

/// A short message, and ones that fill the ring, or go beside it.
const LENGTHS: [usize; 4] = [0, 100, 900, 50_000];

fn alarms(every_micros: i64) {
    alarms_by(caught, every_micros);
}

fn alarms_by(handler: extern "C" fn(i32), every_micros: i64) {
    let every = libc::timeval { tv_sec: 0, tv_usec: every_micros };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: all-zero bytes are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // Without SA_RESTART, so that each system call in progress is interrupted.
    action.sa_sigaction = handler as *const () as usize;
    // SAFETY: the handlers do only what may be done in one (signal-safety(7)).
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

/// What the handler reaches: others wait for the one, and for permits of the other.
static FROM_HANDLER: OnceLock<(Event, Semaphore)> = OnceLock::new();

/// Sets, releases, and leaves a number in `errno` that is nobody's.
extern "C" fn meddle(signal: i32) {
    if let Some((event, semaphore)) = FROM_HANDLER.get() {
        event.set();
        semaphore.release(1).unwrap();
    }
    // SAFETY: it may be called anywhere.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is this thread's own `errno`, for as long as the thread lives.
    unsafe { errno.write(libc::EBADF) };
    caught(signal);
}

/// Locks and queues of all kinds between two processes, each of them interrupted 5,000 times a
/// second: no call notices, and no deadline is missed by much.
fn a_storm_of_handlers_is_invisible() {
    const ROUNDS: u32 = 300;
    let event = Event::new().unwrap();
    let semaphore = Semaphore::new(0).unwrap();
    let _ = FROM_HANDLER.set((event.clone(), semaphore.clone()));
    let (mutex, turns) = (Mutex::new(0_u32).unwrap(), Mutex::new(0_u32).unwrap());
    let (lock, condvar) = (RwLock::new(0_u32).unwrap(), Condvar::new().unwrap());
    let barrier = Barrier::new(2).unwrap();
    let there = Queue::<(u32, Option<Fd>, Vec<u8>)>::with_capacity(0, 4096).unwrap();
    let back = JoinableQueue::<u32>::new(2).unwrap();
    let start = Instant::now();
    let work = |me: u32| {
        alarms_by(meddle, 200);
        for round in 0..ROUNDS {
            *mutex.lock().unwrap() += 1;
            *lock.write().unwrap() += 1;
            assert!(*lock.read().unwrap() > round);
            // In turns, by way of the condition variable.
            let waited = condvar.wait_while(turns.lock().unwrap(), |turn| **turn % 2 != me);
            *waited.unwrap() += 1;
            condvar.notify_all();
            event.wait().unwrap();
            event.clear();
            semaphore.acquire().unwrap().forget();
            barrier.wait().unwrap();
        }
        let late = Instant::now();
        assert!(matches!(Event::new().unwrap().wait_timeout(SLOW), Err(mp_sync::Error::TimedOut)));
        assert!((SLOW..SLOW * 20).contains(&late.elapsed()), "{:?}", late.elapsed());
    };
    let child = Child::run(|| {
        work(1);
        for (number, fd, bytes) in there.iter().map(Result::unwrap) {
            assert_eq!(
                (fd.is_some(), bytes.len()),
                (number % 3 == 0, LENGTHS[number as usize % 4])
            );
            back.put(number).unwrap();
        }
    });
    work(0);
    assert_eq!((*mutex.lock().unwrap(), *lock.read().unwrap()), (2 * ROUNDS, 2 * ROUNDS));
    for number in 0..ROUNDS {
        let fd = (number % 3 == 0).then(|| std::fs::File::open("/dev/null").unwrap().into());
        there.put((number, fd, vec![1; LENGTHS[number as usize % 4]])).unwrap();
        if number >= 2 {
            assert_eq!(back.get().unwrap(), number - 2);
            back.task_done().unwrap();
        }
    }
    there.close();
    for _ in 0..2 {
        back.get().unwrap();
        back.task_done().unwrap();
    }
    back.join().unwrap();
    assert!(matches!(back.get_timeout(SLOW), Err(Error::TimedOut)));
    alarms(0);
    let count = CAUGHT.load(Ordering::Relaxed);
    assert!(count > 100, "there were only {count} interruptions");
    assert!(start.elapsed() < Duration::from_secs(60));
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
