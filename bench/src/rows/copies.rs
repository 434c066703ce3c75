//! The `copy_folder` example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::goal;
use crate::row::Row;

pub const ROWS: &[Row] = &[
    Row {
        name: "copy-small",
        what: "20,000 files of 1 to 16 KiB in 200 folders; time for the whole tree",
        pinned: "not at all",
        waits: "for the disk; page cache warm from the samples before",
        ours: || copy_folder(&small()?),
        peers: &[goal("cp-a", 1.0, || cp(&small()?))],
    },
    Row {
        name: "copy-big",
        what: "one file of 4 GiB; time for the file",
        pinned: "not at all",
        waits: "for the disk; page cache warm from the samples before",
        ours: || copy_folder(&big()?),
        peers: &[goal("cp-a", 1.0, || cp(&big()?))],
    },
];

/// Where the trees lie, from one sample to the next.
fn workplace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join("copy")
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// Makes a tree by `fill` unless a complete one is there.
fn tree(name: &str, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<PathBuf, String> {
    let tree = workplace().join(name);
    if !tree.exists() {
        let half = workplace().join(format!("{name}.half"));
        let _ = fs::remove_dir_all(&half);
        fs::create_dir_all(&half).map_err(text)?;
        fill(&half).map_err(text)?;
        fs::rename(half, &tree).map_err(text)?;
    }
    Ok(tree)
}

fn small() -> Result<PathBuf, String> {
    tree("small", |root| {
        for folder in 0..200 {
            let folder = root.join(format!("folder-{folder}"));
            fs::create_dir(&folder)?;
            for file in 0..100 {
                fs::write(folder.join(format!("file-{file}")), vec![7; 1024 << (file % 5)])?;
            }
        }
        Ok(())
    })
}

fn big() -> Result<PathBuf, String> {
    use std::io::Write;
    tree("big", |root| {
        let mut file = fs::File::create(root.join("file"))?;
        let piece = vec![7; 64 << 20];
        (0..64).try_for_each(|_| file.write_all(&piece))
    })
}

/// Runs `command SRC DST` and returns how long it took.
fn timed(mut command: Command, source: &Path) -> Result<f64, String> {
    // What others have not yet written to the disk would be waited for by whoever writes next.
    Command::new("sync").status().map_err(text)?;
    let target = workplace().join(format!("out-{}", std::process::id()));
    command.arg(source).arg(&target).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let output = command.stderr(Stdio::piped()).output().map_err(text)?;
    let time = start.elapsed().as_nanos() as f64;
    fs::remove_dir_all(&target).map_err(text)?;
    if output.status.success() {
        return Ok(time);
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn cp(source: &Path) -> Result<f64, String> {
    let mut command = Command::new("cp");
    command.arg("-a");
    timed(command, source)
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Builds the example and makes the tree, which the samples then find.
pub fn prepare(row: &str) -> Result<(), String> {
    let built = Command::new("cargo")
        .args(["build", "--release", "-q", "-p", "mp-pool", "--example", "copy_folder"])
        .arg("--manifest-path")
        .arg(root().join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", root().join("target"))
        .status()
        .map_err(text)?;
    if !built.success() {
        return Err("copy_folder does not build".to_owned());
    }
    if row == "copy-big" { big() } else { small() }.map(drop)
}

fn copy_folder(source: &Path) -> Result<f64, String> {
    timed(Command::new(root().join("target/release/examples/copy_folder")), source)
}
