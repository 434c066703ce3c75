//! What needs no process with one thread: spawn and the fork server, under the test harness.

mod chaos;
mod crowd;
mod libtest;
mod properties;

mp_process::init_tests!();
