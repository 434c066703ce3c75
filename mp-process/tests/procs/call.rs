//! Calling a function in a child, and what comes back.

use mp_process::{Error, ExitStatus, Process, StartMethod};

use crate::Row;

pub(crate) const ROWS: &[Row] = &[
    ("a_value_comes_back", a_value_comes_back),
    ("a_panic_is_a_value", a_panic_is_a_value),
    ("exit_codes", exit_codes),
];

fn square(x: u64) -> u64 {
    x * x
}

fn a_value_comes_back(method: StartMethod) {
    let child = Process::new(square, 12).method(method).start().unwrap();
    assert_eq!(child.join().unwrap(), 144);
    assert_eq!(child.exitcode(), Some(0));
    let child = Process::call(|| "none".to_string()).method(method).start().unwrap();
    assert_eq!(child.join().unwrap(), "none");
}

fn a_panic_is_a_value(method: StartMethod) {
    let child = Process::new(|x: u64| assert!(x > 3, "{x} is not enough"), 2).method(method);
    let child = child.stderr(mp_process::Stdio::Null).start().unwrap();
    let Err(Error::Panicked(panic)) = child.join() else { panic!("no panic") };
    assert_eq!(panic.message, "2 is not enough");
    assert!(panic.location.unwrap().contains("call.rs:"));
    assert_eq!(child.wait(), ExitStatus::Exited(101));
}

fn exit_codes(method: StartMethod) {
    let start = |f: fn(i32)| move |n: i32| Process::new(f, n).method(method).start().unwrap();
    let exit = start(|code| std::process::exit(code))(3);
    assert!(matches!(exit.join(), Err(Error::Exited(ExitStatus::Exited(3)))));
    let abort = start(|_| std::process::abort())(0);
    assert_eq!(abort.wait(), ExitStatus::Signaled(6));
    let err = Process::call(|| Err::<(), String>("no".into())).method(method).start().unwrap();
    assert_eq!(err.join().unwrap(), Err("no".to_string()));
    assert_eq!(err.wait(), ExitStatus::Exited(1));
}
