#![doc = include_str!("../README.md")]

pub mod step;

/// The programs on the project's first page run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct FirstPage;
