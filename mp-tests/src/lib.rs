#![doc = include_str!("../README.md")]

mod route;
pub mod step;
mod traced;

/// The programs on the project's first page run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct FirstPage;
