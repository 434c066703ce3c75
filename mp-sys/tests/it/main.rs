//! Each wrapper once for success and once for its errno. What another process is needed for is in
//! `tests/procs`.

mod deadline;
mod events;
mod fd_table;
mod futex;
mod memory;
mod process;
mod robust;
mod socket;
