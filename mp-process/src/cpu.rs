//! How many processors this process has.

use std::path::{Path, PathBuf};

use mp_sys::sched;

/// How many processors this process may use: those on which it may run, or as many as its control
/// group's quota is worth (rounded up), whichever is less. At least 1.
///
/// Python: `multiprocessing.cpu_count()`, which counts the machine's.
///
/// # Examples
///
/// ```
/// assert!(mp_process::cpu_count() >= 1);
/// ```
pub fn cpu_count() -> usize {
    let own = match sched::affinity() {
        Ok(cpus) => cpus.len(),
        // A machine with more processors than the call knows of.
        Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    own.min(quota(&groups, &mounts, &read).unwrap_or(usize::MAX)).max(1)
}

/// The least quota of the groups this process is in, in whole processors.
fn quota(groups: &str, mounts: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<usize> {
    let limits = groups.lines().flat_map(|line| {
        // `0::/path` for version 2, `4:cpu,cpuacct:/path` for version 1 (cgroups(7)).
        let mut parts = line.splitn(3, ':').skip(1);
        let (kinds, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let first_version = match kinds {
            "" => false,
            _ if kinds.split(',').any(|kind| kind == "cpu") => true,
            _ => return Vec::new(),
        };
        let Some(mount) = mount(mounts, first_version) else { return Vec::new() };
        let group = mount.join(path.trim_start_matches('/'));
        let above = group.ancestors().take_while(|dir| dir.starts_with(&mount));
        above.filter_map(|dir| limit(dir, first_version, read)).collect()
    });
    limits.min()
}

/// Where the groups are mounted: the fifth field of a line whose type, behind ` - `, is right.
fn mount(mounts: &str, first_version: bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        let fits = if first_version {
            kind == "cgroup" && options.split(',').any(|option| option == "cpu")
        } else {
            kind == "cgroup2"
        };
        fits.then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

/// The quota of one group, if it has one.
fn limit(dir: &Path, first_version: bool, read: &dyn Fn(&Path) -> Option<String>) -> Option<usize> {
    let (quota, period) = if first_version {
        (read(&dir.join("cpu.cfs_quota_us"))?, read(&dir.join("cpu.cfs_period_us"))?)
    } else {
        let max = read(&dir.join("cpu.max"))?;
        let (quota, period) = max.trim().split_once(' ')?;
        (quota.to_string(), period.to_string())
    };
    // "max" and -1 are no numbers: no limit.
    let (quota, period): (usize, usize) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    if period == 0 { None } else { Some(quota.div_ceil(period).max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const V1: &str = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct";

    #[test]
    fn the_least_of_the_groups_above_counts_and_is_rounded_up() {
        let read = |path: &Path| match path.to_str()? {
            "/sys/fs/cgroup/a/b/cpu.max" => Some("max 100000\n".into()),
            "/sys/fs/cgroup/a/cpu.max" => Some("150000 100000\n".into()),
            _ => None,
        };
        assert_eq!(quota("0::/a/b\n", V2, &read), Some(2));
        assert_eq!(quota("0::/c\n", V2, &read), None);
    }

    /// As above, in a real folder, where a mount and a group are: nothing of it is made up but
    /// the place.
    #[test]
    fn a_tree_of_the_second_version_is_read_from_the_file_system() {
        let mount = std::env::temp_dir().join(format!("mp-process-cgroup2-{}", std::process::id()));
        let group = mount.join("user.slice/a b");
        std::fs::create_dir_all(&group).unwrap();
        std::fs::write(mount.join("cpu.max"), "100000 100000\n").unwrap();
        std::fs::write(mount.join("user.slice/cpu.max"), "max 100000\n").unwrap();
        std::fs::write(group.join("cpu.max"), "250000 100000\n").unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        let mounts = V2.replace("/sys/fs/cgroup", mount.to_str().unwrap());
        let count = |groups| quota(groups, &mounts, &read);
        assert_eq!(count("1:cpu:/\n0::/user.slice/a b\n"), Some(1), "the group above has less");
        std::fs::remove_file(mount.join("cpu.max")).unwrap();
        assert_eq!(count("0::/user.slice/a b\n"), Some(3));
        assert_eq!(count("0::/user.slice\n"), None);
        std::fs::remove_dir_all(&mount).unwrap();
    }

    #[test]
    fn the_first_version_is_read_too() {
        let read = |path: &Path| match path.to_str()? {
            "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us" => Some("50000\n".into()),
            "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us" => Some("100000\n".into()),
            "/sys/fs/cgroup/cpu/b/cpu.cfs_quota_us" => Some("-1\n".into()),
            "/sys/fs/cgroup/cpu/b/cpu.cfs_period_us" => Some("100000\n".into()),
            _ => None,
        };
        assert_eq!(quota("4:cpu,cpuacct:/a\n3:memory:/a\n", V1, &read), Some(1));
        assert_eq!(quota("4:cpu,cpuacct:/b\n", V1, &read), None);
        assert_eq!(quota("", "", &read), None);
    }
}
