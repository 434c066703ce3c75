//! Programs that are unlike others: run by the loader's name, linked without a mark, panicking.

use std::process::{Command, Stdio};

use mp_process::{Error, ExitStatus, Process};

use crate::METHODS;
use crate::programs::{output, program, program_at, say};
use crate::quota::a_quota_counts;

pub(crate) const TRIALS: &[(&str, fn())] = &[
    ("a_function_is_found_without_a_build_id", without_build_id),
    ("a_program_that_the_loader_was_asked_to_run", run_by_the_loader),
    ("a_panic_tells_the_same_under_every_method", panics_travel),
    ("the_quota_of_a_control_group_counts", a_quota_counts),
];

/// A copy of this program, of whose build-id the loader knows nothing, as if it had been linked
/// with `--build-id=none`: then a hash of the code says whether two programs are the same.
fn without_build_id() {
    let path = std::env::temp_dir().join(format!("mp-process-no-id-{}", std::process::id()));
    let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    // Lengths of name and mark, and the kind: NT_GNU_BUILD_ID.
    let note = [[4, 0, 0, 0], [20, 0, 0, 0], [3, 0, 0, 0], *b"GNU\0"].concat();
    let at = bytes.windows(note.len()).position(|window| window == note);
    let at = at.expect("the linker leaves a build-id");
    bytes[at + 8] = 0x7f;
    std::fs::write(&path, bytes).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    let (stdout, _) = output(program_at(&path, "calls"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(stdout, "ok\n");
}

/// Then the kernel has not executed the program but the loader, and would again.
fn run_by_the_loader() {
    let loader = "/lib64/ld-linux-x86-64.so.2";
    if !std::path::Path::new(loader).exists() {
        return crate::report("skipped: the loader has another name here");
    }
    let mut command = Command::new(loader);
    command.arg(std::env::current_exe().unwrap()).env("MP_TEST_PROGRAM", "loaded");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (stdout, _) = output(command);
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    assert!(stdout.lines().all(|line| line.contains("start the program itself")), "{stdout}");
}

#[inline(never)]
fn deep(depth: u32) {
    assert!(depth < 3, "deep in {depth}");
    deep(depth + 1);
}

pub(crate) fn panicking() {
    for method in METHODS {
        let child = Process::new(deep, 0).method(method).stderr(mp_process::Stdio::Null);
        let child = child.start().unwrap();
        let Err(Error::Panicked(panic)) = child.join() else { panic!("no panic") };
        assert_eq!(child.wait(), ExitStatus::Exited(101));
        assert_eq!(panic.message, "deep in 3");
        assert!(panic.location.as_ref().unwrap().contains("odd.rs:"), "{panic:?}");
        let frames = panic.backtrace.clone().unwrap_or_default();
        say(&format!("{} {}", frames.contains("deep"), panic.to_string().contains("odd.rs:")));
    }
}

fn panics_travel() {
    for (enabled, told) in [("1", "true"), ("0", "false")] {
        let mut command = program("panics");
        command.env("RUST_BACKTRACE", enabled);
        assert_eq!(output(command).0, format!("{told} true\n").repeat(3));
    }
}
