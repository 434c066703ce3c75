//! `sched_setaffinity(2)`: the processors on which a thread may run.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Errno;

/// `sched_getaffinity`: the processors on which the calling thread may run.
///
/// # Errors
///
/// [`Errno::INVAL`] on a machine with more processors than the library knows of (1024).
///
/// # Examples
///
/// ```
/// assert!(!mp_sys::sched::affinity().unwrap().is_empty());
/// ```
pub fn affinity() -> Result<Vec<usize>, Errno> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// `sched_setaffinity`: lets the calling thread run on `cpus` only.
///
/// # Errors
///
/// [`Errno::INVAL`] if there is none of these processors here.
pub fn set_affinity(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if cpu >= CpuSet::MAX_CPU {
            return Err(Errno::INVAL);
        }
        set.set(cpu);
    }
    sched_setaffinity(None, &set)
}
