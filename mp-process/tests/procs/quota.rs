//! The quota of a real control group.

use std::path::PathBuf;

use mp_process::{Process, StartMethod};

/// A group that is removed with this value.
struct Group(PathBuf);

impl Group {
    /// A group that is worth `percent` of one processor. `None` where this process may not make
    /// one, or the machine has no such controller.
    fn new(percent: u32) -> Option<Group> {
        let name = format!("mp-test-{}-{percent}", std::process::id());
        let second = |dir: &str| {
            let dir = PathBuf::from(dir).join(&name);
            std::fs::create_dir(&dir).ok()?;
            let group = Group(dir);
            group.set("cpu.max", &format!("{percent}000 100000"))?;
            Some(group)
        };
        let first = || {
            let dir = PathBuf::from("/sys/fs/cgroup/cpu").join(&name);
            std::fs::create_dir(&dir).ok()?;
            let group = Group(dir);
            group.set("cpu.cfs_quota_us", &format!("{percent}000"))?;
            Some(group)
        };
        second("/sys/fs/cgroup").or_else(|| second("/sys/fs/cgroup/unified")).or_else(first)
    }

    /// Writes to a file that the kernel has made there.
    fn set(&self, file: &str, value: &str) -> Option<()> {
        let mut file = std::fs::OpenOptions::new().write(true).open(self.0.join(file)).ok()?;
        std::io::Write::write_all(&mut file, value.as_bytes()).ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It is empty once its last process has been reaped; if not, it is the machine's to clear.
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn count_in(group: PathBuf) -> usize {
    std::fs::write(group.join("cgroup.procs"), "0").unwrap();
    mp_process::cpu_count()
}

pub(crate) fn a_quota_counts() {
    let mine = mp_process::cpu_count();
    for (percent, expected) in [(50, 1), (150, mine.min(2)), (100_000, mine)] {
        let Some(group) = Group::new(percent) else {
            return crate::report("skipped: no control group can be made here");
        };
        let child = Process::new(count_in, group.0.clone()).method(StartMethod::Spawn);
        assert_eq!(child.start().unwrap().join().unwrap(), expected, "{percent} %");
        crate::report(&format!("{}: {percent} % are {expected} processors", group.0.display()));
    }
}
