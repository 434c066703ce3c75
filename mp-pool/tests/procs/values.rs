//! What travels: arguments, results, descriptors, and data that is handed over once.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use mp_ipc::Fd;
use mp_pool::{Error, Shared, TaskError, keep, with_kept};
use mp_shm::Frozen;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::calls::{picky, square};
use crate::{Case, Kind, wait_until};

pub(crate) const CASES: &[Case] = &[
    ("values_that_cannot_travel", values_that_cannot_travel),
    ("large_values", large_values),
    ("descriptors_travel", descriptors_travel),
    ("descriptors_in_a_dying_chunk", descriptors_in_a_dying_chunk),
    ("frozen_data", frozen_data),
    ("shared_values", shared_values),
    ("arrays_in_place", arrays_in_place),
    ("a_gibibyte_is_there_once", a_gibibyte_is_there_once),
];

/// A value that will not be packed, or will not be unpacked.
#[derive(Debug, PartialEq)]
enum Stubborn {
    Packing,
    Unpacking,
    Neither,
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Stubborn::Packing => Err(serde::ser::Error::custom("will not be packed")),
            Stubborn::Unpacking => 1u8.serialize(serializer),
            Stubborn::Neither => 2u8.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stubborn, D::Error> {
        match u8::deserialize(deserializer)? {
            2 => Ok(Stubborn::Neither),
            _ => Err(serde::de::Error::custom("will not be unpacked")),
        }
    }
}

fn values_that_cannot_travel(kind: Kind) {
    // C7; test_unpickleable_result (20 times), test_map_unplicklable
    let pool = kind.pool(2);
    fn take(_: Stubborn) -> u8 {
        5
    }
    fn give(which: u8) -> Stubborn {
        match which {
            0 => Stubborn::Packing,
            _ => Stubborn::Unpacking,
        }
    }
    for _ in 0..20 {
        for bad in [Stubborn::Packing, Stubborn::Unpacking] {
            let result = pool.apply(take, bad);
            assert!(matches!(result, Err(Error::Task(TaskError::Codec(_)))), "{result:?}");
        }
        for bad in [0, 1] {
            let result = pool.apply(give, bad);
            assert!(matches!(result, Err(Error::Task(TaskError::Codec(_)))), "{result:?}");
        }
    }
    for chunk in [1, 10] {
        let items = (0..10).map(|n| match n {
            3 => Stubborn::Packing,
            6 => Stubborn::Unpacking,
            _ => Stubborn::Neither,
        });
        let results = pool.with().chunk(chunk).map_each(take, items).unwrap();
        let failed: Vec<_> = (0..10).filter(|n| results[*n].is_err()).collect();
        assert_eq!(failed, [3, 6], "in chunks of {chunk}");
    }
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
}

fn large_values(kind: Kind) {
    let pool = kind.start(|builder| builder.workers(2).lane_bytes(4096));
    fn reverse(mut text: String) -> String {
        text = text.chars().rev().collect();
        text
    }
    for len in [1_000, 4_000, 5_000, 100_000, 3_000_000] {
        let text: String = ('a'..='z').cycle().take(len).collect();
        assert_eq!(pool.apply(reverse, text.clone()).unwrap(), reverse(text), "{len} bytes");
    }
    let texts: Vec<String> = (0..40).map(|n| "abc".repeat(n * 100)).collect();
    let reversed: Vec<String> = texts.iter().cloned().map(reverse).collect();
    assert_eq!(pool.map(reverse, texts).unwrap(), reversed);
}

fn descriptors_travel(kind: Kind) {
    use std::io::{Read, Seek, Write};
    let pool = kind.pool(2);
    fn write((number, file): (u32, Fd)) -> Fd {
        let mut file = std::fs::File::from(file.0);
        write!(file, "{number};").unwrap();
        Fd(file.into())
    }
    let path = std::env::temp_dir().join(format!("mp-pool-fd-{}-{kind:?}", std::process::id()));
    let open = std::fs::File::options().read(true).write(true).create_new(true).open(&path);
    let mut file = open.unwrap();
    std::fs::remove_file(path).unwrap();
    for number in 0..20 {
        let back = pool.apply(write, (number, Fd(file.try_clone().unwrap().into())));
        std::fs::File::from(back.unwrap().0).write_all(b"!").unwrap();
    }
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, (0..20).map(|n| format!("{n};!")).collect::<String>());
}

fn descriptors_in_a_dying_chunk(kind: Kind) {
    if kind == Kind::Threads {
        return; // They do not die.
    }
    fn open(x: u32) -> Fd {
        if x == 2 {
            std::process::abort();
        }
        Fd(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()))
    }
    let pool = kind.pool(1);
    let results = pool.with().chunk(5).map_each(open, 0..5).unwrap();
    // Descriptors travel when the whole chunk is done, so those of the first two died with it.
    for result in &results[..2] {
        assert!(matches!(result, Err(TaskError::Codec(_))), "{result:?}");
    }
    assert!(matches!(results[2], Err(TaskError::WorkerDied { task: 2, .. })));
    assert!(results[3..].iter().all(Result::is_ok));
}

fn frozen_data(kind: Kind) {
    // C35: handed over with every task, and no task takes longer for its size.
    fn sum((numbers, from): (Frozen<u64>, usize)) -> u64 {
        numbers[from..from + 1_000].iter().sum()
    }
    let pool = kind.pool(2);
    let numbers: Vec<u64> = (0..1_000_000).collect();
    let frozen = Frozen::from_slice(&numbers).unwrap();
    let parts = (0..1_000).map(|part| (frozen.clone(), part * 1_000));
    let start = Instant::now();
    let sums = pool.with().chunk(10).map(sum, parts).unwrap();
    assert_eq!(sums.iter().sum::<u64>(), 999_999 * 1_000_000 / 2);
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn shared_values(kind: Kind) {
    fn nth((words, at): (Shared<Vec<String>>, usize)) -> (String, bool) {
        let words = words.get().unwrap();
        (words[at].clone(), std::sync::Arc::strong_count(&words) > 1)
    }
    let pool = kind.pool(2);
    let words = Shared::new(&(0..100).map(|n| n.to_string()).collect::<Vec<_>>()).unwrap();
    let found = pool.map(nth, (0..100).map(|at| (words.clone(), at))).unwrap();
    for (at, (word, kept)) in found.into_iter().enumerate() {
        assert_eq!((word, kept), (at.to_string(), true), "decoded once");
    }
}

fn arrays_in_place(kind: Kind) {
    let pool = kind.pool(2);
    for len in [0, 1, 5, 10_000] {
        let numbers: Vec<u64> = (0..len).collect();
        let array = mp_shm::Array::from_slice(&numbers).unwrap();
        pool.map_array(square, &array).unwrap();
        assert!(array.iter().zip(numbers).all(|(square, x)| square == x * x));
    }
    let array = mp_shm::Array::from_slice(&[1u64, 2, 3, 4]).unwrap();
    let failed = pool.map_array(picky, &array);
    assert!(matches!(failed, Err(Error::Task(TaskError::Panicked(_)))), "{failed:?}");
}

/// A large table is in memory once: eight workers that have read all of it have an eighth each.
fn a_gibibyte_is_there_once(kind: Kind) {
    // C35
    const BYTES: usize = 1 << 30;
    const PAGE: usize = 4096 / size_of::<u64>();
    fn hold(table: Frozen<u64>) {
        let sum: u64 = table.iter().step_by(PAGE).sum();
        assert_eq!(sum, (BYTES / 4096) as u64 * 5);
        keep(table);
    }
    if kind == Kind::Threads {
        return; // They have no memory of their own.
    }
    if memory_left() < BYTES as u64 + (256 << 20) {
        eprintln!("skipped: there is no GiB of memory to spare");
        return;
    }
    let before = pss(std::process::id());
    let mut table = Frozen::builder(BYTES / size_of::<u64>()).unwrap();
    table.iter_mut().step_by(PAGE).for_each(|number| *number = 5);
    let table = table.freeze().unwrap();
    let pool = kind.start(|builder| builder.workers(8).initializer(hold, table.clone()));
    wait_until("eight readers", || {
        pool.stats().workers.iter().filter(|worker| worker.ready).count() == 8
    });
    let pids = pool.stats().workers.into_iter().filter_map(|worker| worker.pid);
    let shares: Vec<u64> = pids.chain([std::process::id()]).map(pss).collect();
    let total = shares.iter().sum::<u64>() - before;
    eprintln!("{} MiB among eight workers and their parent", total >> 20);
    assert!(total >= BYTES as u64 && total < (BYTES + BYTES / 10) as u64, "{shares:?}");
    let first = |()| with_kept(|table: &mut Frozen<u64>| table[0]);
    assert_eq!(pool.apply(first, ()).unwrap(), Some(5));
}

/// A process's share of the memory that it uses, in bytes: of what n processes have, an n-th.
fn pss(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// How many bytes of memory may still be taken: by the machine, and by the control groups that
/// this process is in.
fn memory_left() -> u64 {
    let number =
        |path: String| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    let info = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    let available = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (root, max, used) = match parts.next()? {
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
            _ => return None,
        };
        let left = Path::new(parts.next()?).ancestors().filter_map(|group| {
            let folder = format!("{root}{}", group.display());
            let max = number(format!("{folder}/{max}"))?;
            Some(max.saturating_sub(number(format!("{folder}/{used}"))?))
        });
        left.min()
    });
    left.min().unwrap_or(u64::MAX).min(available)
}
