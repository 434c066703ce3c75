//! The examples' binaries, built once and run with a time limit.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any example takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The path of an example's binary, beside the one that runs here.
pub(crate) fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a test binary has a path");
    let profile = own.ancestors().nth(2).expect("target/PROFILE/deps/NAME");
    let name = match profile.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--workspace", "--examples", "--profile", name])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
        .arg("--target-dir")
        .arg(profile.parent().expect("a profile lies in a target folder"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the examples do not build");
    profile.join("examples")
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let spawned =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    end(spawned.unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// Waits for the end of a program whose output is piped.
pub(crate) fn end(mut child: Child) -> Ran {
    let out = drain(child.stdout.take().expect("it is piped"));
    let err = drain(child.stderr.take().expect("it is piped"));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if start.elapsed() > LIMIT {
            let _ = child.kill();
            panic!("{child:?} does not end");
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ran { status, out: out.join().expect("it read"), err: err.join().expect("it read") }
}

fn drain(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Something to know about a test that passes.
#[expect(clippy::print_stdout, reason = "shown with --nocapture")]
pub(crate) fn note(what: std::fmt::Arguments<'_>) {
    println!("{what}");
}
