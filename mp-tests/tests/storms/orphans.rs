//! A parent is killed that has everything open, and nothing is left.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mp_shm::SharedMemory;
use mp_sys::pidfd;

use crate::household::{LEAK, MARK, SWEEP};
use crate::{Random, SOON};

/// A parent lives for so long at the most, in microseconds: it has everything open long before.
const LIFE: u64 = 400_000;

pub(crate) fn run() {
    let rounds = if std::env::var_os("MP_LONG").is_some() { 500 } else { 5 };
    let rounds = std::env::var("MP_ROUNDS").map_or(rounds, |text| text.parse().unwrap());
    let mut random = Random::new();
    let (start, mut worst, mut orphans, mut complete) = (Instant::now(), Duration::ZERO, 0, 0);
    for round in 0..rounds {
        let family = Family::new(round);
        let mut parent = family.start();
        random.nap(LIFE);
        parent.kill().expect("the parent lives for ever");
        let status = parent.wait().expect("a child of ours");
        assert_eq!(status.signal(), Some(9), "round {round}: it had ended before");
        let death = Instant::now();
        orphans += family.living().len();
        while let Some(left) = family.left() {
            assert!(death.elapsed() < SOON, "round {round}: left: {left}");
            std::thread::sleep(Duration::from_millis(1));
        }
        worst = worst.max(death.elapsed());
        let mut said = String::new();
        parent.stdout.take().expect("a pipe").read_to_string(&mut said).expect("its end");
        complete += u32::from(!said.is_empty());
    }
    assert!(complete > 0 || rounds < 5, "none had everything open");
    println!(
        "{rounds} parents killed in {:.1?}, {complete} of them after they had had everything open, \
         with {orphans} processes of theirs alive a moment later; \
         nothing was left after {worst:.1?} at the worst",
        start.elapsed()
    );
}

/// What a parent leaves behind that should not is seen.
pub(crate) fn control() {
    for (round, what) in ["process", "name", "file"].into_iter().enumerate() {
        let family = Family::new(1_000 + round as u32);
        let mut parent = family.program(MARK).env(LEAK, what).spawn().expect("it starts");
        let mut said = [0];
        parent.stdout.as_mut().expect("a pipe").read_exact(&mut said).expect("that it is done");
        parent.kill().expect("the parent waits for it");
        parent.wait().expect("a child of ours");
        std::thread::sleep(Duration::from_millis(300));
        let left = family.left();
        let _ = fs::remove_file(Path::new("/dev/shm").join(&family.mark));
        assert!(left.is_some(), "a {what} is left, and not seen");
    }
}

/// A parent and all that come from it. What it makes has its mark, or lies in its folder.
struct Family {
    mark: String,
    folder: PathBuf,
}

impl Family {
    fn new(round: u32) -> Family {
        let mark = format!("household-{}-{round}", std::process::id());
        let folder = std::env::temp_dir().join(format!("mp-{mark}"));
        fs::create_dir(&folder).expect("a folder for temporary files");
        Family { mark, folder }
    }

    fn start(&self) -> std::process::Child {
        self.program(MARK).spawn().expect("this program starts")
    }

    /// This program, in the role that `role` asks for.
    fn program(&self, role: &str) -> Command {
        let mut program = Command::new(std::env::current_exe().expect("this program"));
        program.env(role, &self.mark).env("TMPDIR", &self.folder);
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        program
    }

    /// Those whose environment has the mark. Who is dead has none.
    fn living(&self) -> BTreeMap<String, String> {
        let mark = format!("{MARK}={}", self.mark);
        let processes = entries(Path::new("/proc")).into_iter();
        let family = processes.filter_map(|name| {
            let environment = fs::read(format!("/proc/{name}/environ")).ok()?;
            let has_mark = environment.split(|byte| *byte == 0).any(|v| v == mark.as_bytes());
            let status = fs::read_to_string(format!("/proc/{name}/status")).ok()?;
            has_mark.then(|| (name, status.lines().take(3).collect::<Vec<_>>().join(" ")))
        });
        family.collect()
    }

    /// What is left of the family, if anything.
    fn left(&self) -> Option<String> {
        let alive = self.living();
        if !alive.is_empty() {
            return Some(format!("processes: {alive:#?}"));
        }
        // A process has no environment any more while its descriptors are still being closed.
        let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        if sockets.contains(&self.mark) {
            return Some("an open socket".to_owned());
        }
        SharedMemory::sweep().expect("a /dev/shm");
        let mut names = entries(Path::new("/dev/shm"));
        names.retain(|name| name.contains(&self.mark));
        assert!(self.program(SWEEP).status().expect("this program starts").success());
        let files = entries(&self.folder);
        let left = [names, files].concat();
        (!left.is_empty()).then(|| format!("names in /dev/shm, or temporary files: {left:?}"))
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // Nobody, unless the test has failed.
        for name in self.living().into_keys() {
            let process = name.parse().ok().and_then(|pid| pidfd::open(pid).ok());
            process.map(|process| pidfd::signal(&process, 9));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
