//! In a test binary, where `main` is the harness's.

use mp_process::{Error, ExitStatus, Process, StartMethod};

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::ForkServer];

#[test]
fn a_child_computes() {
    for method in METHODS {
        let child =
            Process::new(|(a, b): (u64, u64)| a * b, (6, 7)).method(method).start().unwrap();
        assert_eq!(child.join().unwrap(), 42);
        assert_eq!(child.wait(), ExitStatus::Exited(0));
    }
}

#[test]
fn the_harness_does_not_run_in_a_child() {
    fn threads() -> (usize, Option<String>) {
        (mp_sys::fork::thread_count().unwrap(), std::thread::current().name().map(str::to_string))
    }
    for method in METHODS {
        let child = Process::call(threads).method(method).start().unwrap();
        assert_eq!(child.join().unwrap(), (1, None));
    }
}

#[test]
fn fork_is_refused_with_the_harness_s_threads() {
    let refused = Process::forked(|| 1).start();
    let Err(Error::MultiThreaded { threads }) = refused else { panic!("{refused:?}") };
    assert!(threads >= 2);
}
