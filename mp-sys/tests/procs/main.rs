//! What the kernel does when a process dies. One thread, so that a plain fork is safe.
#![expect(clippy::print_stderr, reason = "tests say what they have measured")]

mod child;
mod deaths;
mod limits;
mod race;
mod shared;

use libtest_mimic::{Arguments, Conclusion, Trial};

macro_rules! trials {
    ($($module:ident: $($name:ident),*;)*) => {
        vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            $module::$name();
            Ok(())
        }),)*)*]
    };
}

fn main() -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = trials! {
        deaths: a_killed_holder_is_told_to_a_waiter, between_taking_and_linking,
            between_releasing_and_waking, a_thread_that_ends, a_program_that_is_replaced,
            a_forked_child_holds_nothing;
        limits: two_thousand_and_forty_eight_are_walked,
            our_locks_and_the_librarys_in_one_list;
        race: kills_at_random;
    };
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials);
    conclusion.exit_code()
}
