use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mp_sys::{Deadline, Errno, futex};

fn soon() -> Option<Deadline> {
    Some(Deadline::after(Duration::from_millis(20)))
}

#[test]
fn a_wait_ends_by_a_wake_a_change_or_its_deadline() {
    let word = AtomicU32::new(0);
    assert_eq!(futex::wait(&word, 1, None), Ok(()), "another value");
    let start = Instant::now();
    assert_eq!(futex::wait(&word, 0, soon()), Err(Errno::TIMEDOUT));
    assert!(start.elapsed() >= Duration::from_millis(20));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while word.load(Ordering::Acquire) == 0 {
                let _ = futex::wait(&word, 0, None);
            }
        });
        word.store(1, Ordering::Release);
        futex::wake(&word, 1);
    });
    assert_eq!(futex::wake(&word, u32::MAX), 0);
}

#[test]
fn of_several_words_any_ends_the_wait() {
    let words = [const { AtomicU32::new(0) }; futex::WAIT_ANY_MAX + 1];
    let all: Vec<(&AtomicU32, u32)> = words.iter().map(|word| (word, 0)).collect();
    assert_eq!(futex::wait_any(&[], None), Err(Errno::INVAL));
    assert_eq!(futex::wait_any(&all[..2], soon()), Err(Errno::TIMEDOUT));
    assert_eq!(futex::wait_any(&[(&words[0], 0), (&words[1], 5)], None), Ok(()));
    let start = Instant::now();
    let _ = futex::wait_any(&all, Some(Deadline::after(Duration::from_secs(60))));
    assert!(start.elapsed() < Duration::from_secs(30), "too many: looks again after a tick");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while words[7].load(Ordering::Acquire) == 0 {
                let _ = futex::wait_any(&all[..10], None);
            }
        });
        words[7].store(1, Ordering::Release);
        futex::wake(&words[7], 1);
    });
}
