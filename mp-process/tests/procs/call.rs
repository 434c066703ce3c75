//! Calling a function in a child, and what comes back.

use std::fs::File;
use std::io::{Read, Seek, Write};

use mp_process::{Error, ExitStatus, Fd, Process, StartMethod, Stdio, TaskError};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Row, SOON};

pub(crate) const ROWS: &[Row] = &[
    ("a_value_comes_back", a_value_comes_back),
    ("a_panic_is_a_value", a_panic_is_a_value),
    ("a_result_comes_back_whole", a_result_comes_back_whole),
    ("large_arguments_and_values", large_arguments_and_values),
    ("files_travel_both_ways", files_travel_both_ways),
    ("generics_and_closures", generics_and_closures),
    ("what_cannot_be_encoded", what_cannot_be_encoded),
    ("a_value_is_kept_for_every_join", a_value_is_kept_for_every_join),
];

fn square(x: u64) -> u64 {
    x * x
}

fn a_value_comes_back(method: StartMethod) {
    let child = Process::new(square, 12).method(method).start().unwrap();
    assert_eq!(child.join().unwrap(), 144);
    assert_eq!(child.exitcode(), Some(0));
    let child = Process::call(|| "none".to_string()).method(method).start().unwrap();
    assert_eq!(child.join_timeout(SOON).unwrap(), "none");
}

fn a_panic_is_a_value(method: StartMethod) {
    let mut printed = tempfile();
    let child = Process::new(|x: u64| assert!(x > 3, "{x} is not enough"), 2)
        .method(method)
        .env("RUST_BACKTRACE", "0")
        .stderr(printed.try_clone().unwrap())
        .start()
        .unwrap();
    let Err(Error::Panicked(panic)) = child.join() else { panic!("no panic") };
    assert_eq!(panic.message, "2 is not enough");
    assert!(panic.location.unwrap().contains("call.rs:"));
    assert_eq!(child.wait(), ExitStatus::Exited(101));
    // And std's own words are on stderr.
    let printed = text(&mut printed);
    assert!(printed.contains("panicked at") && printed.contains("2 is not enough"), "{printed}");
}

fn a_result_comes_back_whole(method: StartMethod) {
    let parse = |text: String| text.parse::<u8>().map_err(|error| error.to_string());
    let good = Process::new(parse, "7".to_string()).method(method).start().unwrap();
    let bad = Process::new(parse, "x".to_string()).method(method).start().unwrap();
    assert_eq!((good.join().unwrap(), good.exitcode()), (Ok(7), Some(0)));
    assert!(bad.join().unwrap().is_err());
    assert_eq!(bad.exitcode(), Some(1));
}

fn large_arguments_and_values(method: StartMethod) {
    let bytes: Vec<u8> = (0..5_000_000u32).map(|n| n as u8).collect();
    let reverse = |mut bytes: Vec<u8>| {
        bytes.reverse();
        bytes
    };
    let child = Process::new(reverse, bytes.clone()).method(method).start().unwrap();
    // The child ends although nobody has asked for its value yet.
    assert_eq!(child.wait_timeout(SOON), Some(ExitStatus::Exited(0)));
    assert!(child.join().unwrap().iter().rev().eq(&bytes));
}

fn files_travel_both_ways(method: StartMethod) {
    fn write(files: Vec<Fd>) -> Vec<Fd> {
        for fd in &files {
            File::from(fd.0.try_clone().unwrap()).write_all(b"x").unwrap();
        }
        files
    }
    let mut file = tempfile();
    let fds = (0..300).map(|_| file.try_clone().unwrap().into()).collect();
    let child = Process::new(write, fds).method(method).start().unwrap();
    let back = child.join().unwrap();
    assert_eq!((back.len(), text(&mut file).len()), (300, 300));
    assert_eq!(child.join().unwrap().len(), 300, "each join has descriptors of its own");
}

fn generics_and_closures(method: StartMethod) {
    fn twice<T: Clone + Serialize + DeserializeOwned>(value: T) -> (T, T) {
        (value.clone(), value)
    }
    fn start<T>(value: T, method: StartMethod) -> (T, T)
    where
        T: Clone + Serialize + DeserializeOwned + 'static,
    {
        Process::new(twice::<T>, value).method(method).start().unwrap().join().unwrap()
    }
    assert_eq!(start(3u8, method), (3, 3));
    assert_eq!(start("a".to_string(), method), ("a".to_string(), "a".to_string()));
    let named: fn(&'static str) -> String = String::from;
    let _ = named;
    let child = Process::new(String::into_bytes, "std".to_string()).method(method).start();
    assert_eq!(child.unwrap().join().unwrap(), b"std");
}

fn what_cannot_be_encoded(method: StartMethod) {
    struct Odd;
    impl Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("odd"))
        }
    }
    impl<'de> serde::Deserialize<'de> for Odd {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Odd, D::Error> {
            Err(serde::de::Error::custom("odd"))
        }
    }
    #[derive(Serialize)]
    struct OneWay(u8);
    impl<'de> serde::Deserialize<'de> for OneWay {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<OneWay, D::Error> {
            Err(serde::de::Error::custom("one way"))
        }
    }
    let argument = Process::new(|_: Odd| (), Odd).method(method).start();
    assert!(matches!(argument, Err(Error::Arguments(_))), "{argument:?}");
    let argument = Process::new(|_: OneWay| (), OneWay(1)).method(method).start().unwrap();
    assert!(matches!(argument.join(), Err(Error::Task(TaskError::Arguments(_)))));
    assert_eq!(argument.exitcode(), Some(1));
    let value = Process::call(|| Odd).method(method).start().unwrap();
    assert!(matches!(value.join(), Err(Error::Task(TaskError::Value(_)))));
    let value = Process::call(|| OneWay(1)).method(method).start().unwrap();
    assert!(matches!(value.join(), Err(Error::Value(_))));
}

fn a_value_is_kept_for_every_join(method: StartMethod) {
    let wait = || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        vec![1, 2, 3]
    };
    let child = Process::call(wait).method(method).stderr(Stdio::Null).start().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(child.join().unwrap(), [1, 2, 3]));
        }
    });
}

/// A file without a name.
pub(crate) fn tempfile() -> File {
    File::from(mp_sys::memfd::create_open(c"test", 1).unwrap())
}

pub(crate) fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text.trim_matches('\0').to_string()
}
