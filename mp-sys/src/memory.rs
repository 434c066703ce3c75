//! `/proc/meminfo` and the control groups' limits: how much memory may be taken.
//!
//! `fallocate(2)` on a memfd knows no limit: it takes page after page until the out-of-memory
//! killer ends somebody, maybe somebody else. So large requests are compared with what there is
//! first. The answer can be overtaken by another process that asks at the same moment.
//!
//! And `madvise(2)`: large stretches of fresh memory are mostly the cost of a fault for each page.
#![expect(unsafe_code, reason = "madvise takes an address")]

use std::fs::read_to_string;
use std::mem::MaybeUninit;
use std::path::Path;

use rustix::mm::{Advice, madvise};

use crate::Errno;

/// From this size on, a request is compared with what there is.
const LARGE: u64 = 16 << 20;

/// How many bytes could be taken before the kernel would have to kill: what the machine can free
/// and swap, or what the tightest control group (v1 or v2) around this process leaves, if that is less.
///
/// [`u64::MAX`] where `/proc` is not mounted.
///
/// # Examples
///
/// ```
/// let available = mp_sys::memory::available();
/// assert!((1 << 20..u64::MAX).contains(&available));
/// ```
pub fn available() -> u64 {
    machine().unwrap_or(u64::MAX).min(groups().unwrap_or(u64::MAX))
}

/// Whether `size` bytes may be taken. Less than 16 MiB always may: looking would cost more than
/// making them.
///
/// # Errors
///
/// [`Errno::NOMEM`] if there is less [available].
pub fn check(size: u64) -> Result<(), Errno> {
    if size < LARGE || size <= available() { Ok(()) } else { Err(Errno::NOMEM) }
}

/// From this size on, memory that is about to be filled is worth a system call.
const HUGE: usize = 4 << 20;

/// `madvise(MADV_HUGEPAGE)`: asks for huge pages where a value is about to be written, if that is
/// 4 MiB or more. A hint: where there are no huge pages, nothing happens.
///
/// # Examples
///
/// ```
/// let mut copy: Vec<u8> = Vec::with_capacity(8 << 20);
/// mp_sys::memory::prefer_huge_pages(copy.spare_capacity_mut());
/// copy.resize(8 << 20, 1);
/// ```
pub fn prefer_huge_pages<T>(room: &mut [MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    if size_of_val(room) < HUGE {
        return;
    }
    let range = room.as_mut_ptr_range();
    let skipped = range.start.addr().wrapping_neg() % PAGE;
    let start = range.start.cast::<u8>().wrapping_add(skipped);
    let len = (size_of_val(room) - skipped) / PAGE * PAGE;
    // SAFETY: whole pages within memory that is borrowed for writing; the advice changes how they
    // are backed, never what they hold (madvise(2)).
    let _ = unsafe { madvise(start.cast(), len, Advice::LinuxHugepage) };
}

fn machine() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let kibibytes = field(&text, "MemAvailable:")? + field(&text, "SwapFree:").unwrap_or(0);
    Some(kibibytes.saturating_mul(1024))
}

/// The least that any control group from this process's own up to the root leaves.
fn groups() -> Option<u64> {
    let text = read_to_string("/proc/self/cgroup").ok()?;
    let hierarchy = |line: &str| {
        let (_, line) = line.split_once(':')?;
        let (controllers, own) = line.split_once(':')?;
        let (root, names) = match controllers {
            "" => ("/sys/fs/cgroup", V2),
            _ if controllers.split(',').any(|name| name == "memory") => (V1_ROOT, V1),
            _ => return None,
        };
        let own = Path::new(root).join(own.trim_start_matches('/'));
        own.ancestors()
            .take_while(|path| path.starts_with(root))
            .filter_map(|p| group(p, names))
            .min()
    };
    text.lines().filter_map(hierarchy).min()
}

const V1_ROOT: &str = "/sys/fs/cgroup/memory";

/// A group's files: its limit and its use.
type Names = [&'static str; 2];
const V2: Names = ["memory.max", "memory.current"];
const V1: Names = ["memory.limit_in_bytes", "memory.usage_in_bytes"];

/// What one group leaves; `None` if it has no limit.
fn group(path: &Path, [max, current]: Names) -> Option<u64> {
    let read = |name| read_to_string(path.join(name)).ok();
    let max: u64 = read(max)?.trim().parse().ok()?;
    let current: u64 = read(current)?.trim().parse().ok()?;
    // What files have in memory is given up before anybody is killed.
    let stat = read("memory.stat").unwrap_or_default();
    let cached = ["inactive_file ", "active_file "].iter().filter_map(|key| field(&stat, key));
    Some(max.saturating_sub(current).saturating_add(cached.sum()))
}

fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_found_by_its_name_alone() {
        let text = "MemFree:  5 kB\nMemAvailable:   23 kB\nbad: x\n";
        assert_eq!(field(text, "MemAvailable:"), Some(23));
        assert_eq!((field(text, "bad:"), field(text, "Mem:")), (None, None));
    }
}
