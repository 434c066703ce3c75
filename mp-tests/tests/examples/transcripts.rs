//! What each example prints; and the same program in Python beside it.

use std::path::Path;
use std::process::Command;

use crate::build::{example, note, run};

/// What of a transcript is the same in every run.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Same {
    All,
    /// The lines, in whatever order.
    Lines,
    /// The lines but for their numbers.
    Shape,
}

fn normal(transcript: &str, same: Same) -> Vec<String> {
    let mut lines: Vec<String> = transcript.lines().map(str::to_owned).collect();
    if same == Same::Shape {
        for line in &mut lines {
            let parts: Vec<&str> =
                line.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
            *line = parts.join("#");
        }
    }
    if same != Same::All {
        lines.sort();
    }
    lines
}

/// Runs the example, checks what it printed, and lets Python print the same.
pub(crate) fn transcript(name: &str, same: Same, expected: &[&str]) -> String {
    let ours = run(&mut Command::new(example(name)));
    assert!(ours.status.success(), "{name}: {ours:?}");
    assert_eq!(ours.err, "", "{name}: {ours:?}");
    assert_eq!(normal(&ours.out, same), normal(&expected.join("\n"), same), "{name}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("oracle/{name}.py"));
    if Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success()) {
        let theirs = run(Command::new("python3").env_remove("PYTHONUNBUFFERED").arg(script));
        assert!(theirs.status.success(), "{name} in Python: {theirs:?}");
        assert_eq!(normal(&ours.out, same), normal(&theirs.out, same), "{name}: Python differs");
    } else {
        note(format_args!("{name}: python3 is absent, so its transcript is not compared"));
    }
    ours.out
}

#[test]
fn start_join() {
    let expected = [
        "child: the water boils",
        "child: the tea is ready",
        "parent: lays the table meanwhile",
        "parent: drinks",
    ];
    let out = transcript("start_join", Same::Lines, &expected);
    assert!(out.ends_with("parent: drinks\n"), "{out}");
}

#[test]
fn parent_variable() {
    let expected = ["child: a = 1", "child: a = 1000", "parent: a = 1"];
    transcript("parent_variable", Same::All, &expected);
}

#[test]
fn three_workers() {
    let out =
        transcript("three_workers", Same::Shape, &["1 - 2 eats", "1 - 2 sleeps", "1 - 2 learns"]);
    let mut pids: Vec<&str> = out
        .lines()
        .flat_map(|line| line.split(' ').filter(|word| word.parse::<u32>().is_ok()))
        .collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 4, "one parent and three children: {out}");
}

#[test]
fn arguments() {
    let lines = [1, 2, 3].map(|round| format!("I am Tom, working: round {round}"));
    transcript("arguments", Same::All, &lines.each_ref().map(String::as_str));
}

#[test]
fn split_file() {
    let expected = ["top: 50000 bytes", "bottom: 50001 bytes", "the same: true"];
    transcript("split_file", Same::All, &expected);
}

#[test]
fn name_pid_daemon() {
    let expected = [
        "cpus: 2",
        "alive: daemon 1",
        "alive: doomed 2",
        "alive: slow 3",
        "worker has pid 4 and got 100",
        "worker: Some(0)",
        "leaver: Some(3)",
        "doomed: Some(-15)",
        "daemon: None",
        "slow ends",
    ];
    let out = transcript("name_pid_daemon", Same::Shape, &expected);
    for line in ["worker: Some(0)\n", "leaver: Some(3)\n", "doomed: Some(-15)\n"] {
        assert!(out.contains(line), "{out}");
    }
    assert!(out.ends_with("daemon: None\nslow ends\n"), "the parent waited for its child: {out}");
}

#[test]
fn start_methods() {
    transcript("start_methods", Same::All, &["hello by fork", "hello by spawn"]);
}

#[test]
fn queue_hello() {
    transcript("queue_hello", Same::All, &["42 None hello"]);
}

#[test]
fn pipe_words() {
    let expected = [
        "child: a",
        "parent: it has 1 letters",
        "child: few",
        "parent: it has 3 letters",
        "child: words",
        "parent: it has 5 letters",
        "child: finish",
        "parent: it has 6 letters",
    ];
    transcript("pipe_words", Same::All, &expected);
}

#[test]
fn lock_printing() {
    let mut expected = Vec::new();
    for number in 0..10 {
        expected.push(format!("hello from {number}"));
        expected.push(format!("goodbye from {number}"));
    }
    expected.push("20 lines".to_owned());
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let out = transcript("lock_printing", Same::Lines, &expected);
    let lines: Vec<&str> = out.lines().collect();
    for pair in lines.chunks_exact(2) {
        let number = pair[0].trim_start_matches("hello from ");
        assert_eq!(pair[1], format!("goodbye from {number}"), "torn apart: {out}");
    }
}

#[test]
fn value_array() {
    transcript("value_array", Same::All, &["3.1415927", "[0, -1, -2, -3, -4, -5, -6, -7, -8, -9]"]);
}

#[test]
fn finish_sentinel() {
    let mut expected: Vec<String> =
        (0..5).map(|number| format!("child: message {number}")).collect();
    expected.push("child: finish".to_owned());
    expected.push("parent: the queue is empty: true".to_owned());
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    transcript("finish_sentinel", Same::All, &expected);
}

#[test]
fn bounded_queue() {
    let expected = [
        "empty: true",
        "downloader: full: true",
        "downloader: one more: false",
        "analyser: 110",
        "empty: true",
        "one more: false",
    ];
    transcript("bounded_queue", Same::All, &expected);
}
