//! mp-shm between processes. One thread, so that a plain fork is safe.
#![expect(clippy::print_stderr, reason = "tests say what they have measured")]

mod arena;
mod child;
mod folder;
mod frozen;
mod leaks;
mod list;
mod named;
mod numbers;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

macro_rules! trials {
    ($($module:ident: $($name:ident),*;)*) => {
        vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            $module::$name();
            Ok(())
        }),)*)*]
    };
}

fn main() -> ExitCode {
    if let Ok(case) = std::env::var(folder::CASE) {
        folder::run(&case);
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = trials! {
        arena: parent_and_child_never_take_the_same_room;
        folder: tiny, full, absent;
        frozen: eight_processes_have_it_once, no_process_can_write_it;
        leaks: ten_thousand_cycles_leave_nothing;
        list: a_killed_writer_leaves_no_half_and_no_claim;
        named: an_attachers_end_never_removes, a_killed_creators_name_goes_with_the_next_look,
            a_creator_that_exits_removes_what_it_leaked, a_forked_child_is_not_the_creator,
            a_creator_is_dead_though_its_child_lives, kills_at_random_leave_nothing;
        numbers: no_update_is_lost, padded_neighbours_are_exact, updates_of_the_killed_are_whole;
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}
