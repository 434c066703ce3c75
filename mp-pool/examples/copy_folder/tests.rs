//! The engine without its workers: what the walk plans, copied in this process.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, mkfifoat, utimensat};

use crate::copy::{Tally, copy};
use crate::job::{Entry, Group, Job, Kind};
use crate::plan::{Rest, Step, Totals, walk};
use crate::report::Trouble;
use crate::tree::Roots;

/// A folder `from` and an empty folder `to`, removed in the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("mp-copy-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("from")).unwrap();
        fs::create_dir(path.join("to")).unwrap();
        Place(path)
    }

    fn from(&self, relative: &str) -> PathBuf {
        self.0.join("from").join(relative)
    }

    fn to(&self, relative: &str) -> PathBuf {
        self.0.join("to").join(relative)
    }

    fn roots(&self) -> Roots {
        Roots::new(self.0.join("from"), self.0.join("to"))
    }

    fn plan(&self) -> (Vec<Step>, Rest) {
        let (sender, steps) = mpsc::channel();
        let rest = walk(&self.roots(), &Totals::default(), sender).unwrap();
        (steps.into_iter().collect(), rest)
    }

    fn carry_out(&self, (steps, rest): (Vec<Step>, Rest)) -> (Tally, Vec<Trouble>) {
        let (mut sum, mut troubles) = (Tally::default(), Vec::new());
        for step in steps {
            match step {
                Step::Job(job) => {
                    let (tally, mut more) = copy(&self.roots(), &job, &mut [0; 4096], &mut |_| ());
                    sum.files += tally.files;
                    sum.bytes += tally.bytes;
                    troubles.append(&mut more);
                }
                Step::Large(_) => unreachable!("no file here is large"),
                Step::Trouble(trouble) => troubles.push(trouble),
            }
        }
        sum.files += rest.finish(&self.roots(), |trouble| troubles.push(trouble));
        (sum, troubles)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn age(path: &Path, nanoseconds: i64) {
    let at = Timespec { tv_sec: 1_000_000_000, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: at, last_modification: at };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[test]
fn every_kind_of_entry_arrives_as_it_was() {
    let place = Place::new("kinds");
    fs::create_dir_all(place.from("folder/empty")).unwrap();
    fs::write(place.from("folder/plain"), "contents").unwrap();
    fs::write(place.from("nothing"), "").unwrap();
    fs::write(place.from("medium"), vec![7; 700_000]).unwrap();
    fs::hard_link(place.from("nothing"), place.from("folder/other name")).unwrap();
    symlink("folder/plain", place.from("link")).unwrap();
    symlink("nowhere", place.from("folder/dangling")).unwrap();
    mkfifoat(CWD, place.from("fifo"), Mode::RUSR).unwrap();
    fs::set_permissions(place.from("folder/plain"), Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(place.from("folder/empty"), Permissions::from_mode(0o500)).unwrap();
    let all = [
        "folder/plain",
        "folder/other name",
        "folder/dangling",
        "folder/empty",
        "folder",
        "medium",
        "link",
        "fifo",
        "nothing",
        "",
    ];
    for (nanoseconds, name) in all.iter().enumerate() {
        age(&place.from(name), nanoseconds as i64);
    }
    let (tally, troubles) = place.carry_out(place.plan());
    assert!(troubles.is_empty(), "{troubles:?}");
    assert_eq!(tally, Tally { files: 7, bytes: 700_008 });
    for name in all {
        let was = fs::symlink_metadata(place.from(name)).unwrap();
        let is = fs::symlink_metadata(place.to(name)).unwrap();
        assert_eq!((was.mode(), was.mtime_nsec()), (is.mode(), is.mtime_nsec()), "{name}");
        assert_eq!((was.uid(), was.gid()), (is.uid(), is.gid()), "{name}");
        if was.is_file() {
            assert_eq!(fs::read(place.from(name)).unwrap(), fs::read(place.to(name)).unwrap());
            assert_eq!(was.nlink(), is.nlink(), "{name}");
        }
        if was.is_symlink() {
            assert_eq!(
                fs::read_link(place.from(name)).unwrap(),
                fs::read_link(place.to(name)).unwrap()
            );
        }
    }
}

#[test]
fn holes_stay_holes() {
    let place = Place::new("holes");
    let file = File::create(place.from("sparse")).unwrap();
    file.set_len(100 << 20).unwrap();
    file.write_all_at(b"island", 50 << 20).unwrap();
    let (tally, troubles) = place.carry_out(place.plan());
    assert!(troubles.is_empty(), "{troubles:?}");
    assert_eq!(tally, Tally { files: 1, bytes: 100 << 20 });
    let copied = File::open(place.to("sparse")).unwrap();
    assert_eq!(copied.metadata().unwrap().len(), 100 << 20);
    assert!(copied.metadata().unwrap().blocks() * 512 < 1 << 20);
    let mut island = [0; 8];
    copied.read_exact_at(&mut island, (50 << 20) - 1).unwrap();
    assert_eq!(&island, b"\0island\0");
}

#[test]
fn what_vanishes_or_is_there_already_is_named() {
    let place = Place::new("names");
    for name in ["a", "b", "c"] {
        fs::write(place.from(name), name).unwrap();
    }
    let plan = place.plan();
    fs::remove_file(place.from("b")).unwrap();
    fs::write(place.to("c"), "mine").unwrap();
    let (tally, troubles) = place.carry_out(plan);
    assert_eq!(tally, Tally { files: 1, bytes: 1 });
    let mut said: Vec<_> = troubles.iter().map(ToString::to_string).collect();
    said.sort();
    assert_eq!(
        said[0],
        format!("{}: not copied: it vanished meanwhile", place.from("b").display())
    );
    assert!(said[1].ends_with("c: not copied: the destination has an entry of that name"));
    assert_eq!(fs::read(place.to("c")).unwrap(), b"mine");
}

#[test]
fn a_job_done_again_keeps_what_is_whole() {
    let place = Place::new("again");
    fs::write(place.from("whole"), "abc").unwrap();
    symlink("whole", place.from("link")).unwrap();
    age(&place.from("link"), 7);
    let entry = |name: &str, kind| Entry { name: name.into(), kind };
    let entries = vec![entry("whole", Kind::File), entry("link", Kind::Link)];
    let groups = vec![Group { folder: OsStr::new("").into(), entries }];
    let job = Job { id: 1, again: false, groups };
    let first = copy(&place.roots(), &job, &mut [0; 4096], &mut |_| ());
    File::options().append(true).open(place.to("whole")).unwrap().write_all(b"d").unwrap();
    let second = copy(&place.roots(), &Job { again: true, ..job }, &mut [0; 4096], &mut |_| ());
    assert_eq!((first.0, first.1.len(), second.1.len()), (Tally { files: 2, bytes: 3 }, 0, 0));
    assert_eq!(fs::read(place.to("whole")).unwrap(), b"abcd");
    assert_eq!(fs::symlink_metadata(place.to("link")).unwrap().mtime_nsec(), 7);
}

#[test]
fn many_entries_make_several_jobs() {
    let place = Place::new("jobs");
    for number in 0..200 {
        fs::write(place.from(&number.to_string()), "").unwrap();
    }
    let (steps, _) = place.plan();
    let sizes: Vec<usize> = steps
        .iter()
        .map(|step| match step {
            Step::Job(job) => job.groups.iter().map(|group| group.entries.len()).sum(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [64, 64, 64, 8]);
    let old = SystemTime::now() - Duration::from_secs(60);
    assert!(fs::metadata(place.to("")).unwrap().modified().unwrap() > old);
}
