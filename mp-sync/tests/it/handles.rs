//! Handles in messages, layouts, and parts.

use mp_shm::Value;
use mp_sync::{
    Barrier, BoundedSemaphore, Condvar, Error, Event, LockError, Locked, Mutex, Parts, RawMutex,
    ReentrantMutex, RwLock, Semaphore,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a message does with a handle.
fn travel<T: Serialize + DeserializeOwned>(object: &T) -> T {
    let (bytes, fds) = mp_sys::fd_table::collect(|| postcard::to_stdvec(object).unwrap());
    mp_sys::fd_table::supply(fds, || postcard::from_bytes(&bytes).unwrap())
}

#[test]
fn what_arrives_is_the_same_object() {
    let mutex = Mutex::new(1_u32).unwrap();
    let guard = mutex.lock().unwrap();
    let arrived = travel(&mutex);
    assert!(arrived.same(&mutex));
    assert!(matches!(arrived.try_lock(), Err(LockError::Failed(Error::WouldBlock))));
    drop(guard);
    *arrived.lock().unwrap() = 2;
    assert_eq!(*mutex.lock().unwrap(), 2);

    let semaphore = Semaphore::new(3).unwrap();
    travel(&semaphore).acquire().unwrap().forget();
    assert_eq!(semaphore.value(), 2);
    let bounded = BoundedSemaphore::new(3).unwrap();
    assert!(travel(&bounded).release(1).is_err());
    let event = Event::new().unwrap();
    travel(&event).set();
    assert!(event.is_set());
    let barrier = Barrier::new(1).unwrap();
    assert_eq!(travel(&barrier).wait(), Ok(0));
    assert!(travel(&barrier).same(&barrier));
    let (condvar, lock) = (Condvar::new().unwrap(), RwLock::new(5_u64).unwrap());
    assert!(travel(&condvar).same(&condvar) && travel(&lock).same(&lock));
    let recursive = ReentrantMutex::new(5_u64).unwrap();
    assert!(travel(&recursive).same(&recursive));
    let locked = Locked::new(Value::new(7_u32).unwrap()).unwrap();
    assert_eq!(travel(&locked).lock().unwrap().load(), 7);
}

#[test]
fn a_lock_of_other_data_does_not_arrive() {
    let mutex = Mutex::new(1_u32).unwrap();
    let (bytes, fds) = mp_sys::fd_table::collect(|| postcard::to_stdvec(&mutex).unwrap());
    let other = |bytes: &[u8]| postcard::from_bytes::<Mutex<f32>>(bytes).map(drop);
    assert!(mp_sys::fd_table::supply(fds, || other(&bytes)).is_err());
}

/// Repeats what `const` assertions in the sources promise.
#[test]
fn layouts() {
    assert_eq!((size_of::<RawMutex>(), align_of::<RawMutex>()), (48, 8));
    let zero = mp_shm::Placed::<RawMutex>::zeroed().unwrap();
    assert!(!zero.is_locked());
}

#[test]
fn parts_do_not_overlap_and_leave_nothing_out() {
    for (len, count) in [(10, 3), (3, 10), (0, 1), (1000, 7)] {
        let parts = Parts::<u32>::new(len, count).unwrap();
        let mut next = 0;
        for i in 0..count {
            assert_eq!(parts.range(i).start, next);
            next = parts.range(i).end;
        }
        assert_eq!(next, len);
    }
    assert!(Parts::<u32>::new(10, 0).is_err());
}

#[test]
fn a_part_is_written_by_one() {
    let parts = travel(&Parts::<u64>::new(100, 4).unwrap());
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for round in 0..400 {
                    parts.claim(round % 4).unwrap().iter_mut().for_each(|n| *n += 1);
                }
            });
        }
    });
    for i in 0..4 {
        assert!(parts.read(i).unwrap().iter().all(|n| *n == 400));
    }
    let claimed = parts.claim(0).unwrap();
    assert!(matches!(parts.claim(0), Err(LockError::Failed(Error::WouldDeadlock))));
    assert!(parts.try_claim(1).is_ok(), "each part has its own lock");
    drop(claimed);
}

#[test]
fn code_that_is_generic_over_lock_api() {
    fn count<R: lock_api::RawMutex + Sync>(mutex: &lock_api::Mutex<R, u32>) {
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..1000).for_each(|_| *mutex.lock() += 1));
            }
        });
    }
    let mutex = lock_api::Mutex::<mp_sync::LockApiMutex, u32>::new(0);
    count(&mutex);
    assert_eq!(*mutex.lock(), 4000);
    std::mem::forget(mutex.lock());
    drop(mutex);
    drop(Mutex::new(0_u8).unwrap().lock().unwrap()); // Walks over the forgotten one.
}
