use std::time::{Duration, Instant};

use mp_sync::{Error, LockError, Mutex};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn many_threads_count_exactly() {
    let count = Mutex::new(0_u64).unwrap();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..50_000 {
                    *count.lock().unwrap() += 1;
                }
            });
        }
    });
    assert_eq!(*count.lock().unwrap(), 200_000);
}

#[test]
fn a_timeout_is_met_and_takes_nothing() {
    let mutex = Mutex::new(0_u8).unwrap();
    let guard = mutex.lock().unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let start = Instant::now();
            let result = mutex.lock_timeout(SOON);
            assert!(matches!(result, Err(LockError::Failed(Error::TimedOut))));
            assert!(start.elapsed() >= SOON);
        });
    });
    drop(guard);
    assert!(!mutex.is_locked());
    let _guard = mutex.lock_timeout(Duration::ZERO).unwrap();
}

#[test]
fn the_end_of_a_thread_is_a_death() {
    let mutex = Mutex::new(1_u32).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| std::mem::forget(mutex.lock().unwrap()));
    });
    // A scope is left when its threads' closures are done; the kernel's walk comes after that.
    match mutex.lock_timeout(Duration::from_secs(5)) {
        Err(LockError::OwnerDied(guard)) => assert_eq!(*guard, 1),
        other => panic!("expected OwnerDied, found {other:?}"),
    }
    drop(mutex.lock().unwrap());
}

#[test]
fn a_forgotten_guard_keeps_its_memory() {
    let mutex = Mutex::new(1_u32).unwrap();
    std::mem::forget(mutex.lock().unwrap());
    drop(mutex);
    // The list of this thread still leads there: locking and unlocking walks over it.
    let other = Mutex::new(2_u32).unwrap();
    drop(other.lock().unwrap());
}

#[cfg(not(mp_pthread))]
#[test]
fn more_locks_than_the_kernel_releases_are_refused() {
    let all: Vec<_> = (0..2049).map(|i| Mutex::new(i).unwrap()).collect();
    let guards: Vec<_> = all.iter().map_while(|mutex| mutex.lock().ok()).collect();
    assert_eq!(guards.len(), 2048);
    let refused = all[2048].lock();
    assert!(matches!(refused, Err(LockError::Failed(Error::TooManyHeld { max: 2048 }))));
    drop(guards);
    drop(all[2048].lock().unwrap());
}

#[test]
fn debug_names_the_owner() {
    let mutex = Mutex::new(0_u32).unwrap();
    assert!(format!("{mutex:?}").contains("Free"));
    let guard = mutex.lock().unwrap();
    let text = format!("{mutex:?}");
    assert!(text.contains("Held"), "{text}");
    if cfg!(not(mp_pthread)) {
        assert!(text.contains(&format!("owner_pid: Some({})", std::process::id())), "{text}");
    }
    drop(guard);
}
