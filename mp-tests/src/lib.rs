#![doc = include_str!("../README.md")]

mod bystander;
mod route;
pub mod step;
mod traced;

pub use bystander::Bystander;

/// The programs on the project's first page run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct FirstPage;
