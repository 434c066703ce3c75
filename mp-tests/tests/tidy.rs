//! House rules that need no tool.

use std::fs;
use std::path::{Path, PathBuf};

const OPENED: &str = "#![expect(";
const LINT: &str = "unsafe_code";
const REASON: &str = "reason = \"";

/// `docs/unsafe.md` names every source file that may contain `unsafe`, and why it does.
///
/// If it is stale: `MP_BLESS=1 cargo test -p mp-tests --test tidy` writes it anew.
#[test]
fn the_list_of_unsafe_files_is_complete() {
    let root = root();
    let mut table = String::new();
    let mut files = Vec::new();
    for member in members(&root) {
        sources(&root.join(&member).join("src"), &mut files);
    }
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let (member, rest) = name.split_once("/src/").unwrap();
        if let Some(reason) = reason(&text) {
            table += &format!("| {member} | `{rest}` | {reason} |\n");
        }
    }
    assert!(table.lines().count() > 10, "the sources were not found");
    let path = root.join("docs/unsafe.md");
    let found = fs::read_to_string(&path).unwrap();
    let (head, rows) = found.split_once("| --- | --- | --- |\n").unwrap();
    if rows == table {
        return;
    }
    assert!(
        std::env::var_os("MP_BLESS").is_some(),
        "docs/unsafe.md is stale; it should say:\n{table}"
    );
    fs::write(path, format!("{head}| --- | --- | --- |\n{table}")).unwrap();
}

/// No wait is on the clock that can be set. The one file that reads it does so where a C library has
/// no other way.
#[test]
fn no_wait_is_on_the_wall_clock() {
    let root = root();
    let mut files = Vec::new();
    for member in members(&root) {
        sources(&root.join(&member).join("src"), &mut files);
    }
    let words = ["SystemTime", "UNIX_EPOCH", "REALTIME", "ClockId::Realtime", "_timedwait"];
    let reads = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        words.iter().any(|word| text.contains(word))
    };
    files.retain(reads);
    assert_eq!(files, [root.join("mp-sys/src/pthread.rs")]);
}

/// Every test that `docs/reliability.md` names is in the file that it names before it.
#[test]
fn the_tests_that_are_promised_exist() {
    let root = root();
    let page = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let (mut tests, mut missing) = (0, Vec::new());
    for cell in page.lines().filter(|line| line.starts_with(['|', '-'])).flat_map(|l| l.split('|'))
    {
        let mut file = None;
        for code in cell.split('`').skip(1).step_by(2) {
            if code.ends_with(".rs") {
                file = fs::read_to_string(root.join(code)).ok();
                file.is_none().then(|| missing.push(code));
            } else if let Some(text) = &file {
                tests += 1;
                (!text.contains(&format!("fn {code}(")) && !text.contains(&format!("{code}\"")))
                    .then(|| missing.push(code));
            }
        }
    }
    assert!(tests > 50, "the tables were not found");
    assert!(missing.is_empty(), "not there: {missing:?}");
}

/// Why the file is open, if it is: the reason of its inner `expect`.
fn reason(text: &str) -> Option<String> {
    text.match_indices(OPENED).find_map(|(at, _)| {
        let (attribute, _) = text[at..].split_once(")]")?;
        let lint = attribute.strip_prefix(OPENED)?.trim_start().starts_with(LINT);
        let (_, reason) = attribute.split_once(REASON).filter(|_| lint)?;
        Some(reason.split_once('"')?.0.to_owned())
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The crates of the workspace, from the bottom up.
fn members(root: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (_, list) = manifest.split_once("members = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}
