//! What the proxies promise, over a server process and the threads of this one.

mod dict;
mod list;
mod model;
mod service;
mod types;
mod world;

mp_process::init_tests!();
