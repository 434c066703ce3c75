//! Who is there: what `/proc` tells of other processes.

use std::fs;

struct Entry {
    pid: i32,
    parent: i32,
    group: i32,
}

fn all() -> Vec<Entry> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let stat = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let is_zombie = fields.next()? == "Z";
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        (!is_zombie).then_some(Entry { pid, parent, group })
    };
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The children of `pid`, their children, and so on; each after its parent.
pub(crate) fn descendants(pid: u32) -> Vec<i32> {
    let all = all();
    let mut found = vec![pid as i32];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(all.iter().filter(|entry| entry.parent == parent).map(|entry| entry.pid));
        at += 1;
    }
    found.split_off(1)
}

/// The living members of a process group.
pub(crate) fn group(leader: u32) -> Vec<i32> {
    all().iter().filter(|entry| entry.group == leader as i32).map(|entry| entry.pid).collect()
}

/// Sends a signal, to a group where `pid` is negative; whether there was somebody.
pub(crate) fn kill(pid: i32, signal: i32) -> bool {
    std::process::Command::new("kill")
        .args([&format!("-{signal}"), "--", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
