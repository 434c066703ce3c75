//! What a child can be given: environment, directory, descriptors, processors, limits.

use std::io::{Read, Write};

use mp_process::{Error, Limit, Process, StartMethod, Stdio};

use crate::Row;
use crate::call::{tempfile, text};

pub(crate) const ROWS: &[Row] = &[
    ("environment", environment),
    ("the_parent_s_environment_of_the_moment", environment_of_the_moment),
    ("directory", directory),
    ("standard_descriptors", standard_descriptors),
    ("processors", processors),
    ("limits", limits),
    ("limits_of_every_kind", limits_of_every_kind),
    ("the_log_level_of_the_moment", log_level),
    ("arguments_and_mark", arguments_and_mark),
    ("signals", signals),
];

fn variable(name: String) -> Option<String> {
    std::env::var(name).ok()
}

fn environment(method: StartMethod) {
    let start = || Process::new(variable, "MP_TEST".to_string()).method(method);
    let set = start().env("MP_TEST", "1").env("MP_TEST", "2").start().unwrap();
    assert_eq!(set.join().unwrap().as_deref(), Some("2"));
    let removed = start().env("MP_TEST", "1").env_remove("MP_TEST").start().unwrap();
    assert_eq!(removed.join().unwrap(), None);
    let all = || std::env::vars().map(|(name, _)| name).collect::<Vec<_>>();
    let cleared = Process::call(all).method(method).env_clear().env("ONE", "1").start().unwrap();
    assert_eq!(cleared.join().unwrap(), ["ONE"]);
}

/// The fork server may have been made before: its children have today's environment.
#[expect(unsafe_code, reason = "this process has one thread, so it may change its environment")]
fn environment_of_the_moment(method: StartMethod) {
    Process::call(|| ()).method(method).start().unwrap().join().unwrap();
    // SAFETY: there is no other thread.
    unsafe { std::env::set_var("MP_TEST_MOMENT", "now") };
    let child = Process::new(variable, "MP_TEST_MOMENT".to_string()).method(method).start();
    // SAFETY: as above.
    unsafe { std::env::remove_var("MP_TEST_MOMENT") };
    assert_eq!(child.unwrap().join().unwrap().as_deref(), Some("now"));
}

fn directory(method: StartMethod) {
    let here = || std::env::current_dir().unwrap();
    let child = Process::call(here).method(method).current_dir("/").start().unwrap();
    assert_eq!(child.join().unwrap().to_str(), Some("/"));
    let before = here();
    std::env::set_current_dir("/proc").unwrap();
    let child = Process::call(here).method(method).start();
    let below = Process::call(here).method(method).current_dir("sys").start();
    std::env::set_current_dir(before).unwrap();
    assert_eq!(child.unwrap().join().unwrap().to_str(), Some("/proc"));
    assert_eq!(below.unwrap().join().unwrap().to_str(), Some("/proc/sys"));
    let absent = Process::call(here).method(method).current_dir("/no/such").start();
    let Err(Error::Setup { what, errno }) = absent else { panic!("{absent:?}") };
    assert!(what.contains("/no/such"));
    assert_eq!(errno, mp_process::Errno::NOENT);
}

fn standard_descriptors(method: StartMethod) {
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is what is tested")]
    fn talk() -> usize {
        let mut input = String::new();
        let read = std::io::stdin().read_to_string(&mut input).unwrap();
        print!("out {input}");
        eprint!("err");
        read
    }
    let (mut input, mut output, mut error) = (tempfile(), tempfile(), tempfile());
    input.write_all(b"in").unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let child = Process::call(talk)
        .method(method)
        .stdin(input)
        .stdout(output.try_clone().unwrap())
        .stderr(error.try_clone().unwrap())
        .start()
        .unwrap();
    assert_eq!(child.join().unwrap(), 2);
    assert_eq!((text(&mut output).as_str(), text(&mut error).as_str()), ("out in", "err"));
    let quiet = Process::call(talk).method(method).stdout(Stdio::Null).stderr(Stdio::Null);
    assert_eq!(quiet.start().unwrap().join().unwrap(), 0, "stdin is /dev/null by default");
}

fn processors(method: StartMethod) {
    let all = mp_sys::sched::affinity().unwrap();
    let last = *all.last().unwrap();
    let count = || (mp_process::cpu_count(), mp_sys::sched::affinity().unwrap());
    let child = Process::call(count).method(method).affinity([last]).start().unwrap();
    assert_eq!(child.join().unwrap(), (1, vec![last]));
    // What the calling thread has at the moment is inherited.
    mp_sys::sched::set_affinity(&[last]).unwrap();
    let child = Process::call(count).method(method).start();
    mp_sys::sched::set_affinity(&all).unwrap();
    assert_eq!(child.unwrap().join().unwrap().1, [last]);
    let none = Process::call(count).method(method).affinity([1023]).start();
    assert!(matches!(none, Err(Error::Setup { .. })), "{none:?}");
}

fn limits(method: StartMethod) {
    let files = || {
        let mut open = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            open.push(file);
        }
        open.len()
    };
    let child = Process::call(files).method(method).limit(Limit::OpenFiles, 64).start().unwrap();
    let opened = child.join().unwrap();
    assert!((1..64).contains(&opened), "{opened}");
}

fn limits_of_every_kind(method: StartMethod) {
    let rows = [
        (Limit::Core, "Max core file size", Some(0)),
        (Limit::Cpu, "Max cpu time", Some(100)),
        (Limit::Data, "Max data size", Some(1 << 34)),
        (Limit::FileSize, "Max file size", Some(1 << 30)),
        (Limit::AddressSpace, "Max address space", Some(1 << 40)),
        (Limit::LockedMemory, "Max locked memory", Some(4096)),
        (Limit::Processes, "Max processes", Some(5000)),
        (Limit::Stack, "Max stack size", None),
    ];
    let limits = || std::fs::read_to_string("/proc/self/limits").unwrap();
    let process = Process::call(limits).method(method);
    let process =
        rows.iter().fold(process, |process, (limit, _, value)| process.limit(*limit, *value));
    let seen = process.start().unwrap().join().unwrap();
    for (limit, name, value) in rows {
        let line = seen.lines().find(|line| line.starts_with(name)).unwrap();
        let value = value.map_or("unlimited".into(), |value: u64| value.to_string());
        assert_eq!(line[name.len()..].split_whitespace().next(), Some(&*value), "{limit:?}");
    }
}

/// Without a logger of ours too, and whenever the fork server was made.
fn log_level(method: StartMethod) {
    let level = || log::max_level() as usize;
    let before = log::max_level();
    for expected in [log::LevelFilter::Warn, log::LevelFilter::Trace, before] {
        log::set_max_level(expected);
        let child = Process::call(level).method(method).start().unwrap();
        assert_eq!(child.join().unwrap(), expected as usize);
    }
}

fn arguments_and_mark(method: StartMethod) {
    fn look() -> (Vec<String>, bool) {
        let marked = std::env::vars().any(|(name, _)| name.starts_with("MP_PROCESS"));
        (std::env::args().skip(1).collect(), marked)
    }
    let child = Process::call(look).method(method).start().unwrap();
    let own: Vec<_> = std::env::args().skip(1).collect();
    assert_eq!(child.join().unwrap(), (own, false));
}

/// The caller's mask and handlers are as before, and the child begins with none.
fn signals(method: StartMethod) {
    fn status() -> Vec<String> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let signals =
            |line: &&str| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|name| line.starts_with(name));
        // But for the two that the C library keeps for its threads, 32 and 33.
        let number = |line: &str| {
            let number = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
            format!("{:x}", number & !(3 << 31))
        };
        status.lines().filter(signals).map(number).collect()
    }
    let before = status();
    let blocked = mp_sys::signal::Blocked::new();
    let child = Process::call(status).method(method).start().unwrap();
    drop(blocked);
    let in_child = child.join().unwrap();
    assert_eq!(before, status());
    assert_eq!(in_child[0], before[0], "nothing is blocked in the child");
    assert_eq!(in_child[1], before[1], "the same signals are ignored");
    let ignoring = Process::call(status).method(method).ignore_interrupt().start().unwrap();
    let ignored = &ignoring.join().unwrap()[1];
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 2, 2, "{ignored}");
}
