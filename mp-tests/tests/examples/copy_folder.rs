//! The folder copy as a user runs it: whole trees, and everything that can go wrong.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::build::{Ran, end, example, note, run};
use crate::processes::{descendants, group, kill};

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// A folder of one test, with `from` in it; removed in the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("mp-copy-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("from")).unwrap();
        Place(path)
    }

    fn from(&self) -> PathBuf {
        self.0.join("from")
    }

    fn to(&self) -> PathBuf {
        self.0.join("to")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(example("copy_folder"));
        command.args(["--workers", "2"]).arg(self.from()).arg(self.to());
        command
    }

    /// Starts the copy at the head of a process group of its own.
    fn start(&self) -> Child {
        let mut command = self.command();
        command.process_group(0).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until some of the files have been copied.
    fn wait_for_files(&self) {
        let start = Instant::now();
        while tree(&self.to()).len() < 500 {
            assert!(start.elapsed() < Duration::from_secs(30), "the copy does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Fills the source with so many small files that there is time to do harm.
    fn fill(&self, files: usize) {
        for number in 0..files {
            let folder = self.from().join(format!("folder {}", number / 50));
            if number % 50 == 0 {
                fs::create_dir(&folder).unwrap();
            }
            fs::write(folder.join(number.to_string()), vec![number as u8; 2000]).unwrap();
        }
    }

    /// The entries that did not arrive as they were.
    fn differences(&self) -> Vec<String> {
        let mut paths = tree(&self.from());
        paths.extend(tree(&self.to()));
        paths.insert(String::new());
        let differs = |path: &String| {
            let (from, to) = (self.from().join(path), self.to().join(path));
            !fs::symlink_metadata(&from)
                .and_then(|was| Ok((was, fs::symlink_metadata(&to)?)))
                .is_ok_and(|(was, is)| {
                    (was.mode(), was.mtime(), was.mtime_nsec(), was.uid(), was.gid())
                        == (is.mode(), is.mtime(), is.mtime_nsec(), is.uid(), is.gid())
                        && fs::read_link(&from).ok() == fs::read_link(&to).ok()
                        && (!was.is_file() || same_contents(&from, &to))
                })
        };
        paths.into_iter().filter(differs).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every path below `root`.
fn tree(root: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
            let path = entry.path();
            paths.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
    paths
}

fn same_contents(one: &Path, other: &Path) -> bool {
    let (one, other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    loop {
        let (x, y) = (one.read_at(&mut a, at).unwrap(), other.read_at(&mut b, at).unwrap());
        if a[..x] != b[..y] {
            return false;
        }
        if x == 0 {
            return true;
        }
        at += x as u64;
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_tree_is_copied_whole() {
    let place = Place::new("whole");
    place.fill(1000);
    let from = place.from();
    fs::create_dir_all(from.join("a/b/empty")).unwrap();
    symlink("../folder 0/1", from.join("a/link")).unwrap();
    fs::hard_link(from.join("folder 0/1"), from.join("a/again")).unwrap();
    fs::set_permissions(from.join("folder 0/2"), Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(from.join("a/b"), Permissions::from_mode(0o555)).unwrap();
    let large = File::create(from.join("large")).unwrap();
    large.set_len((300 << 20) + 17).unwrap();
    for island in [0, 70 << 20, (128 << 20) - 3, 300 << 20] {
        large.write_all_at(b"island", island).unwrap();
    }
    let ran = run(&mut place.command());
    assert_eq!((ran.status.code(), ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.out.contains("copied 1,003 files, 301.9"), "{ran:?}");
    assert_eq!(place.differences(), [""; 0]);
    assert_eq!(fs::metadata(place.to().join("a/again")).unwrap().nlink(), 2);
    assert!(fs::metadata(place.to().join("large")).unwrap().blocks() < 2048, "holes were filled");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new("refused");
    place.fill(1);
    let refused = |from: &Path, to: &Path, why: &str| {
        let ran = run(Command::new(example("copy_folder")).arg(from).arg(to));
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        assert!(ran.err.contains(why), "{ran:?}");
    };
    let from = place.from();
    refused(&from, &from.join("folder 0/copy"), "folder 0/copy: lies inside of");
    refused(&from, &place.0.join("./from"), "from: lies inside of");
    refused(&from, &place.0, ": exists already");
    refused(&place.0.join("nothing"), &place.to(), "nothing: No such file");
    refused(&from.join("folder 0/0"), &place.to(), "folder 0/0: not a folder");
    refused(&from, &place.0.join("no/where"), "no: No such file");
    assert_eq!(tree(&place.0).len(), 3, "nothing was made");
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_copied() {
    let place = Place::new("unreadable");
    place.fill(100);
    fs::set_permissions(place.from().join("folder 0/7"), Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(place.from().join("folder 1"), Permissions::from_mode(0o0)).unwrap();
    let mut command = place.command();
    if is_root() {
        // Root reads everything, so somebody else copies.
        let (own, nobody) = (place.0.join("copy_folder"), 65534);
        fs::copy(example("copy_folder"), &own).unwrap();
        command = Command::new(own);
        command.args(["--workers", "2"]).arg(place.from()).arg(place.to());
        command.uid(nobody).gid(nobody).current_dir("/");
        std::os::unix::fs::chown(&place.0, Some(nobody), None).unwrap();
    }
    let ran = run(&mut command);
    fs::set_permissions(place.from().join("folder 1"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    for path in ["folder 0/7", "folder 1"] {
        let line =
            format!("{}: not copied: no permission to read it", place.from().join(path).display());
        assert!(ran.err.contains(&line), "{line} in {ran:?}");
    }
    assert!(ran.out.contains("copied 49 files"), "{ran:?}");
    assert!(!place.to().join("folder 0/7").exists() && place.to().join("folder 0/8").exists());
}

#[test]
fn a_full_disk_is_named() {
    let place = Place::new("full");
    place.fill(100);
    fs::create_dir(place.0.join("disk")).unwrap();
    let script = "mount -t tmpfs -o size=100k none disk || exit 77
        \"$1\" --workers 2 from disk/to; code=$?; cp -a disk/to to; exit $code";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh"]).arg(example("copy_folder"));
    let ran = run(command.current_dir(&place.0));
    if ran.status.code() == Some(77) || ran.err.contains("unshare") {
        note(format_args!("skipped: no small file system to be had: {ran:?}"));
        return;
    }
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let copied = tree(&place.to()).len() - 2;
    let named = ran.err.matches(": not copied: the destination is full\n").count();
    assert!(copied > 10 && named > 10 && copied + named == 100, "{copied} and {named}: {ran:?}");
    let lost = place.differences().iter().filter(|path| place.to().join(path).is_file()).count();
    assert_eq!(lost, 0, "no file is there in part");
}

/// The workers are killed while they work. What they did is done again, or named.
#[test]
fn killed_workers_lose_nothing() {
    let place = Place::new("killed");
    place.fill(6000);
    let mut child = place.start();
    place.wait_for_files();
    let mut kills = 0;
    while kills < 3 && child.try_wait().unwrap().is_none() {
        // The youngest: a worker, not the process that starts them.
        if let Some(&worker) = descendants(child.id()).last() {
            kills += u32::from(kill(worker, SIGKILL));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    let ran = end(child);
    note(format_args!("{kills} workers killed; {}", ran.out.trim()));
    whole_or_named(&place, &ran);
    if kills > 0 && ran.status.success() {
        assert!(ran.err.contains("died"), "the kills are told: {ran:?}");
    }
}

fn whole_or_named(place: &Place, ran: &Ran) {
    let differences = place.differences();
    let silent: Vec<_> = differences
        .iter()
        .filter(|path| !ran.err.contains(&format!("{}: ", place.from().join(path).display())))
        .collect();
    assert!(silent.is_empty(), "{silent:?} in {ran:?}");
    assert_eq!(ran.status.success(), differences.is_empty(), "{ran:?}");
}

/// Ctrl-C goes to every process of the group. Nobody stays, and no file is there in part.
#[test]
fn an_interrupt_leaves_nobody_and_nothing_in_part() {
    let place = Place::new("interrupt");
    place.fill(6000);
    let child = place.start();
    let leader = child.id();
    place.wait_for_files();
    kill(-(leader as i32), SIGINT);
    let ran = end(child);
    assert_eq!(ran.status.code(), Some(130), "{ran:?}");
    assert!(ran.err.contains("ended by signal 2: the copy is not complete"), "{ran:?}");
    nobody_and_nothing_in_part(&place, leader);
}

/// The parent is killed and can clean nothing up.
#[test]
fn a_killed_parent_leaves_nobody_and_nothing_in_part() {
    let place = Place::new("parent");
    place.fill(6000);
    let child = place.start();
    let leader = child.id();
    place.wait_for_files();
    kill(leader as i32, SIGKILL);
    end(child);
    nobody_and_nothing_in_part(&place, leader);
}

fn nobody_and_nothing_in_part(place: &Place, leader: u32) {
    let start = Instant::now();
    while !group(leader).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(2), "left: {:?}", group(leader));
        std::thread::sleep(Duration::from_millis(5));
    }
    let copied = tree(&place.to());
    note(format_args!("{} of 6000 files were copied", copied.len()));
    assert!(!copied.is_empty());
    for path in copied {
        let (from, to) = (place.from().join(&path), place.to().join(&path));
        assert!(from.exists(), "{path} is not of the source");
        assert!(to.is_dir() || same_contents(&from, &to), "{path} is there in part");
    }
}
