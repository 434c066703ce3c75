//! Whole programs: this binary again, with a `main` of its own, seen from outside.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use mp_process::{Error, Process, StartMethod, active_children};

use crate::{METHODS, SOON, library, odd, rounds};

/// Names the program that this run of the binary is.
const PROGRAM: &str = "MP_TEST_PROGRAM";

pub(crate) const TRIALS: &[(&str, fn())] = &[
    ("a_program_that_never_calls_init", never_calls_init),
    ("a_child_that_dies_before_init", dies_before_init),
    ("a_program_that_deletes_itself", deletes_itself),
    ("the_normal_end_of_a_program", normal_end),
    ("ctrl_c_in_the_foreground", ctrl_c),
    ("log_lines_carry_the_process_name", log_lines),
];

/// If this run is one of the programs: runs it, and ends.
pub(crate) fn run() {
    let Ok(name) = std::env::var(PROGRAM) else { return };
    let in_child = std::env::var_os("MP_PROCESS_CHILD").is_some();
    match name.as_str() {
        "never" => {}
        "late" if in_child => std::process::exit(7),
        _ => mp_process::init(),
    }
    match name.as_str() {
        "never" | "late" | "loaded" => refused(),
        "deletes" => deleted(),
        "calls" => called(),
        "panics" => odd::panicking(),
        "ends" => ending(),
        "waits" => waiting(),
        "logs" => logging(),
        "library" => library::calling(),
        "plain" => say("main"),
        other => panic!("no program {other}"),
    }
    std::process::exit(0);
}

pub(crate) fn program(name: &str) -> Command {
    program_at(&std::env::current_exe().unwrap(), name)
}

pub(crate) fn program_at(path: &Path, name: &str) -> Command {
    let mut command = Command::new(path);
    command.env(PROGRAM, name).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn output(mut command: Command) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[expect(clippy::print_stdout, reason = "a program speaks")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

fn refused() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let begin = Instant::now();
        let error = Process::call(|| ()).method(method).start().unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(1));
        match error {
            Error::DiedAtStart { status } => say(&format!("died: {status}")),
            error => say(&error.to_string()),
        }
    }
}

fn never_calls_init() {
    let (stdout, _) = output(program("never"));
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    assert!(stdout.lines().all(|line| line.contains("mp_process::init();")), "{stdout}");
}

fn dies_before_init() {
    let (stdout, _) = output(program("late"));
    assert_eq!(stdout, "died: exit status 7\ndied: exit status 7\n");
}

fn deleted() {
    let path = std::env::current_exe().unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "another program").unwrap();
    called();
}

fn called() {
    for method in METHODS {
        let child = Process::new(|x: u32| x + 1, 41).method(method).start().unwrap();
        assert_eq!(child.join().unwrap(), 42);
    }
    say("ok");
}

fn deletes_itself() {
    let path = std::env::temp_dir().join(format!("mp-process-deletes-{}", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
    let (stdout, _) = output(program_at(&path, "deletes"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(stdout, "ok\n");
}

fn ending() {
    let end = mp_sync::Event::new().unwrap();
    for method in METHODS {
        let daemon = || {
            std::thread::sleep(SOON);
            say("a daemon was waited for");
        };
        let other = |end: mp_sync::Event| {
            end.wait().unwrap();
            std::thread::sleep(Duration::from_millis(100));
            say("a child was waited for");
        };
        Process::call(daemon).daemon(true).method(method).start().unwrap();
        Process::new(other, end.clone()).method(method).start().unwrap();
    }
    say("end of main");
    end.set();
}

fn normal_end() {
    let begin = Instant::now();
    let (stdout, stderr) = output(program("ends"));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines, [&["end of main"][..], &["a child was waited for"; 3]].concat());
    assert_eq!(stderr, "");
    assert!(begin.elapsed() < SOON / 2);
}

fn waiting() {
    let sleep = || std::thread::sleep(SOON);
    for (n, method) in METHODS.into_iter().cycle().take(6).enumerate() {
        Process::call(sleep).daemon(n < 3).method(method).start().unwrap();
    }
    say("ready");
    active_children().iter().for_each(|child| {
        child.wait();
    });
}

/// `MP_ROUNDS=100` says how often.
fn ctrl_c() {
    let rounds = rounds(10);
    for _ in 0..rounds {
        let mut shell = program("waits").process_group(0).spawn().unwrap();
        let group = shell.id() as i32;
        let mut ready = [0; 6];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Command::new("kill").args(["-INT", "--", &format!("-{group}")]).status().unwrap();
        let Output { stdout, stderr, .. } = shell.wait_with_output().unwrap();
        // Both pipes are at their end: nobody who had them is left, nor has said anything.
        assert_eq!((stdout.len(), stderr.len()), (0, 0));
    }
    crate::report(&format!("Ctrl-C: {rounds} groups of seven, none left, not a word"));
}

fn logging() {
    mp_process::log_to_stderr(log::LevelFilter::Info).unwrap();
    log::info!("one");
    for method in METHODS {
        let talk = || {
            log::info!("two");
            log::debug!("not shown");
        };
        Process::call(talk).method(method).start().unwrap().join().unwrap();
    }
}

fn log_lines() {
    let (_, stderr) = output(program("logs"));
    let two = |n| format!("[INFO/Process-{n}] two\n");
    assert_eq!(stderr, format!("[INFO/MainProcess] one\n{}{}{}", two(1), two(2), two(3)));
}
