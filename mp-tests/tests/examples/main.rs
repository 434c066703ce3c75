//! The examples run, and print what CPython's `multiprocessing` prints for the same program.

mod build;
mod copy_folder;
mod managers;
mod pools;
mod processes;
mod transcripts;
