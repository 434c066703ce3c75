//! Who holds a lock, for `Debug`.

/// The process that the thread `tid` belongs to, from `/proc/TID/status`; `None` when the thread
/// has ended or `/proc` is not mounted.
pub(crate) fn pid_of(tid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}
