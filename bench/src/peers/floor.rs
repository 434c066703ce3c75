//! The physical floor: what the kernel and the C library do when nothing is added.

use std::io::{IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use mp_shm::{Kind, Placed, Region};
use mp_sys::poll::{Interest, wait_for};
use mp_sys::{futex, pidfd, socket};

use crate::process::{Pin, child, pair, per_op, pin_to, reap};

const ROUNDS: usize = 20_000;

/// Two words, far enough apart, that both processes see.
pub fn two_words() -> (Placed<AtomicU32>, Placed<AtomicU32>) {
    let region = Region::create(Kind::new(*b"bnch"), 256, 0).expect("region");
    (region.words(0).expect("word"), region.words(128).expect("word"))
}

/// Ping-pong over two words that are waited for with `FUTEX_WAIT`, without spinning.
fn futex_ping_pong(pin: Pin) -> Result<f64, String> {
    let (there, back) = two_words();
    let wait = |word: &AtomicU32, old: u32| {
        while word.load(Ordering::Acquire) == old {
            futex::wait(word, old, None).expect("no deadline");
        }
    };
    let signal = |word: &AtomicU32, value: u32| {
        word.store(value, Ordering::Release);
        futex::wake(word, 1);
    };
    Ok(pair(
        pin,
        || {
            for round in 0..ROUNDS as u32 {
                wait(&there, round);
                signal(&back, round + 1);
            }
        },
        || {
            per_op(ROUNDS, || {
                for round in 0..ROUNDS as u32 {
                    signal(&there, round + 1);
                    wait(&back, round);
                }
            })
        },
    ))
}

pub fn futex_rtt() -> Result<f64, String> {
    futex_ping_pong(Pin::Apart)
}

pub fn futex_rtt_one_cpu() -> Result<f64, String> {
    futex_ping_pong(Pin::Together)
}

/// Ping-pong over two words that are polled.
pub fn spin_rtt() -> Result<f64, String> {
    let (there, back) = two_words();
    let wait = |word: &AtomicU32, value: u32| {
        while word.load(Ordering::Acquire) != value {
            std::hint::spin_loop();
        }
    };
    let rounds = 10 * ROUNDS;
    Ok(pair(
        Pin::Apart,
        || {
            for round in 1..=rounds as u32 {
                wait(&there, round);
                back.store(round, Ordering::Release);
            }
        },
        || {
            per_op(rounds, || {
                for round in 1..=rounds as u32 {
                    there.store(round, Ordering::Release);
                    wait(&back, round);
                }
            })
        },
    ))
}

/// A 64-byte round trip over a bare stream socket pair.
pub fn socket_rtt() -> Result<f64, String> {
    let (mut here, mut there) = UnixStream::pair().map_err(|error| error.to_string())?;
    let mut bytes = [0; 64];
    Ok(pair(
        Pin::Apart,
        || {
            let mut bytes = [0; 64];
            for _ in 0..ROUNDS {
                there.read_exact(&mut bytes).expect("read");
                there.write_all(&bytes).expect("write");
            }
        },
        || {
            per_op(ROUNDS, || {
                for _ in 0..ROUNDS {
                    here.write_all(&bytes).expect("write");
                    here.read_exact(&mut bytes).expect("read");
                }
            })
        },
    ))
}

/// 64-byte writes into a bare stream socket pair, read as they come.
pub fn socket_stream() -> Result<f64, String> {
    stream_of(64, 200_000)
}

/// 1 MiB writes into a bare stream socket pair.
pub fn socket_1mib() -> Result<f64, String> {
    stream_of(1 << 20, 500)
}

fn stream_of(size: usize, count: usize) -> Result<f64, String> {
    let (mut here, mut there) = UnixStream::pair().map_err(|error| error.to_string())?;
    let bytes = vec![7; size];
    Ok(pair(
        Pin::Apart,
        || {
            let mut bytes = vec![0; size];
            for _ in 0..count {
                there.read_exact(&mut bytes).expect("read");
            }
            there.write_all(&[1]).expect("write");
        },
        || {
            per_op(count, || {
                for _ in 0..count {
                    here.write_all(&bytes).expect("write");
                }
                here.read_exact(&mut [0]).expect("read");
            })
        },
    ))
}

/// `memcpy` of 64 MiB between two warm buffers.
pub fn memcpy_64mib() -> Result<f64, String> {
    Ok(memcpy(64 << 20, 20))
}

/// `memcpy` of 1 MiB between two warm buffers.
pub fn memcpy_1mib() -> Result<f64, String> {
    Ok(memcpy(1 << 20, 2_000))
}

fn memcpy(size: usize, rounds: usize) -> f64 {
    pin_to(0);
    let (from, mut to) = (vec![1_u8; size], vec![0_u8; size]);
    per_op(rounds, || {
        for _ in 0..rounds {
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
        }
    })
}

/// `fetch_add` on an atomic of this process.
pub fn atomic_add() -> Result<f64, String> {
    pin_to(0);
    let counter = std::hint::black_box(Box::new(AtomicU64::new(0)));
    const COUNT: usize = 20_000_000;
    Ok(per_op(COUNT, || {
        for _ in 0..COUNT {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }))
}

/// `fork`, `_exit` in the child, `waitpid`.
pub fn fork_wait() -> Result<f64, String> {
    Ok(per_op(300, || (0..300).for_each(|_| reap(child(|| {})))))
}

/// The least that hands a value back and waits for a certain process: a socket pair, a pidfd, one
/// message.
pub fn fork_by_hand() -> Result<f64, String> {
    let one = || -> Result<(), mp_sys::Errno> {
        let (ours, theirs) = socket::packet_pair()?;
        let value = [IoSlice::new(&[0; 16])];
        let pid = child(|| {
            let _ = socket::send(&theirs, &value, &[], socket::SendFlags::DONTWAIT);
        });
        drop(theirs);
        let process = pidfd::open(pid)?;
        wait_for(process.as_fd(), Interest::Readable, None)?;
        pidfd::try_reap(&process)?;
        socket::recv_bytes(&ours, &mut [0; 16], socket::RecvFlags::DONTWAIT).map(|_| ())
    };
    let mut result = Ok(());
    let time = per_op(300, || (0..300).for_each(|_| result = result.and_then(|()| one())));
    result.map(|()| time).map_err(|errno| errno.to_string())
}

/// [`fork_wait`] from a process that has touched 1 GiB.
pub fn fork_wait_1gib() -> Result<f64, String> {
    let heap = touched_gib();
    let time = per_op(10, || (0..10).for_each(|_| reap(child(|| {}))));
    std::hint::black_box(heap);
    Ok(time)
}

/// 1 GiB of memory with every page in use.
pub fn touched_gib() -> Vec<u8> {
    vec![1; 1 << 30]
}

/// The argument by which this program ends at once.
pub const NOTHING: &str = "--nothing";

/// `std::process::Command` running this same program.
pub fn command() -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let one = || {
        let status = Command::new(&program).arg(NOTHING).stdin(Stdio::null()).status();
        assert!(status.expect("command").success());
    };
    one();
    Ok(per_op(100, || (0..100).for_each(|_| one())))
}

/// A robust, process-shared pthread mutex in shared memory.
pub struct Robust(*mut libc::pthread_mutex_t);

impl Robust {
    pub fn new() -> Robust {
        let size = size_of::<libc::pthread_mutex_t>();
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh anonymous mapping, which is never unmapped.
        let place = unsafe { libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0) };
        assert_ne!(place, libc::MAP_FAILED);
        let mutex = place.cast();
        // SAFETY: zeroed attributes are initialised before use, and the mutex lies in mapped
        // memory of the right size that nobody else knows yet.
        unsafe {
            let mut attributes = std::mem::zeroed();
            libc::pthread_mutexattr_init(&mut attributes);
            libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
            libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST);
            libc::pthread_mutex_init(mutex, &attributes);
        }
        Robust(mutex)
    }

    #[inline]
    pub fn lock(&self) {
        // SAFETY: initialised in `new`, mapped for ever.
        assert_eq!(unsafe { libc::pthread_mutex_lock(self.0) }, 0);
    }

    #[inline]
    pub fn unlock(&self) {
        // SAFETY: as above, and the caller holds it.
        unsafe { libc::pthread_mutex_unlock(self.0) };
    }
}
