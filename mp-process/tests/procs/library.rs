//! Functions that lie in a shared library: found, or refused with an error that names it.
#![expect(unsafe_code, reason = "a library is loaded, and a function taken out of it")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;

use mp_process::{Error, FunctionError, Process, StartMethod};

use crate::METHODS;
use crate::programs::{output, program, say};

pub(crate) const TRIALS: &[(&str, fn())] =
    &[("a_function_of_a_library_is_found_or_refused", found_or_refused)];

const LIBRARY: &str = "MP_TEST_LIBRARY";

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Compiles a library whose function multiplies by `factor`. `false` where there is no compiler.
fn compile(path: &Path, factor: u32) -> bool {
    let source = path.with_extension("rs");
    let text = format!("#[unsafe(no_mangle)] pub fn multiply(x: u64) -> u64 {{ x * {factor} }}");
    std::fs::write(&source, text).unwrap();
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=cdylib", "-Clink-arg=-Wl,--build-id", "-o"]);
    let compiled = rustc.arg(path).arg(&source).status();
    std::fs::remove_file(&source).unwrap();
    compiled.is_ok_and(|status| status.success())
}

/// The function of the library, which stays loaded.
fn multiply(path: &Path) -> fn(u64) -> u64 {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: dlopen(3) with a path; the library's constructors are those of Rust's own std.
    let library = unsafe { dlopen(path.as_ptr(), 2) };
    // SAFETY: the library is loaded, or null, for which dlsym(3) looks in the program.
    let function = unsafe { dlsym(library, c"multiply".as_ptr()) };
    assert!(!function.is_null());
    // SAFETY: this is what `compile` has written there.
    unsafe { std::mem::transmute::<*mut c_void, fn(u64) -> u64>(function) }
}

fn call(function: fn(u64) -> u64, method: StartMethod) -> String {
    let child = Process::new(function, 14).method(method).start();
    match child.and_then(|child| child.join()) {
        Ok(value) => format!("{value}"),
        Err(Error::Function(error @ FunctionError::NotHere { .. })) => error.to_string(),
        Err(error) => format!("{error:?}"),
    }
}

/// The program: a library is loaded, deleted, and another build of it put in its place.
pub(crate) fn calling() {
    let path = PathBuf::from(std::env::var_os(LIBRARY).unwrap());
    let function = multiply(&path);
    let all = || METHODS.map(|method| say(&call(function, method)));
    all();
    let aside = path.with_extension("other");
    std::fs::remove_file(&path).unwrap();
    all();
    std::fs::rename(aside, &path).unwrap();
    all();
}

fn found_or_refused() {
    let name = format!("libmp-process-test-{}.so", std::process::id());
    let path = std::env::temp_dir().join(name);
    let aside = path.with_extension("other");
    if !compile(&path, 3) || !compile(&aside, 5) {
        return crate::report("skipped: there is no rustc here");
    }
    let mut command = program("library");
    command.env(LIBRARY, &path);
    let (stdout, _) = output(command);
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines[..3], ["42"; 3], "it is where it was");
    for (after, found) in [(3, "here it is not loaded"), (6, "here it is build")] {
        assert_eq!(lines[after], "42", "a copy of the process has it");
        for line in &lines[after + 1..after + 3] {
            let named = line.contains(path.to_str().unwrap()) && line.contains("(build ");
            assert!(named && line.contains(found), "{line}");
        }
    }
}
