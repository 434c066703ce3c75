//! What comes from others than our own code: any environment, any letters, on either end.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::Instant;

use mp_process::{ExitStatus, Process, StartMethod};
use mp_sys::socket::{self, SendFlags};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::process::PidfdGetfdFlags;

use crate::programs::program;
use crate::{METHODS, SOON};

const MARK: &str = "MP_PROCESS_CHILD";

pub(crate) const TRIALS: &[(&str, fn())] = &[
    ("any_environment_is_ignored", any_environment_is_ignored),
    ("no_order_makes_a_child_crash", no_order_makes_a_child_crash),
    ("no_letters_of_a_child_harm_its_parent", no_letters_of_a_child_harm_its_parent),
];

pub(crate) fn each<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    result.unwrap();
}

/// A mark that names no socket of ours: the program is what it is without one.
fn any_environment_is_ignored() {
    let number = || {
        prop_oneof![
            (-3..4_i64).prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            "[0-9a-z -]{0,30}",
        ]
    };
    let structured = ("main|hook|", number(), number(), ":?[^\0]{0,5}")
        .prop_map(|(entry, fd, number, rest)| format!("{entry}:{fd}:{number}{rest}"));
    let null = File::open("/dev/null").unwrap().metadata().unwrap().ino();
    let mark = prop_oneof![
        4 => structured,
        2 => "[^\0]{0,40}",
        // Its number is right, but it is no socket.
        1 => Just(format!("main:0:{null}")),
    ];
    each(48, mark, |mark| {
        let mut command = program("plain");
        let output = command.env(MARK, mark).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"main\n");
        assert_eq!(output.stderr, b"");
    });
}

/// A letter: a header that fits at first sight, or none; bytes; and descriptors.
fn packet() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        // The lengths of an order, and an order of chance.
        (0..40_u8, 0..3_u8, prop::collection::vec(0..4_u8, 0..80))
            .prop_map(|(len, fds, bytes)| { [&[len, 0, 0, 0, fds, 0, 0, 0][..], &bytes].concat() }),
    ];
    (0..9_u8, 0..2_u8, 0..2_u8, 0..3_u8, body, any::<bool>(), 0..4_usize).prop_map(
        |(kind, form, followers, count, body, good, fds)| {
            let mut packet = vec![kind, form, followers, 0, count, 0, 0, 0];
            packet.extend((body.len() as u64).to_le_bytes());
            packet.extend(&body);
            (if good { packet } else { body }, fds)
        },
    )
}

fn send(socket: &OwnedFd, (bytes, fds): &(Vec<u8>, usize)) -> bool {
    let null = File::open("/dev/null").unwrap();
    let fds = vec![null.as_fd(); *fds];
    socket::send(socket, &[IoSlice::new(bytes)], &fds, SendFlags::DONTWAIT).is_ok()
}

/// A child whose socket is right, and whose order is anything: it ends, and runs nothing.
fn no_order_makes_a_child_crash() {
    each(48, prop::collection::vec(packet(), 0..3), |packets| {
        let (here, there) = socket::packet_pair().unwrap();
        packets.iter().for_each(|packet| assert!(send(&here, packet)));
        let number = File::from(there.try_clone().unwrap()).metadata().unwrap().ino();
        let mut command = program("plain");
        command.env(MARK, format!("main:0:{number}")).stdin(Stdio::from(there));
        // Nothing follows: the child need not wait for it.
        drop(here);
        let start = Instant::now();
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
        assert!(start.elapsed() < SOON);
    });
}

type Packets = Vec<(Vec<u8>, usize)>;

/// Posts the packets wherever this process has a packet socket.
fn post((packets, leave): (Packets, bool)) -> Vec<String> {
    let me = mp_sys::pidfd::open(std::process::id() as i32).unwrap();
    let all = (3..100).map(|fd| rustix::process::pidfd_getfd(&me, fd, PidfdGetfdFlags::empty()));
    // To anything but a socket it fails.
    let posted = all
        .flatten()
        .filter(|fd| {
            packets.iter().map(|packet| send(fd, packet)).fold(false, |any, sent| any | sent)
        })
        .count();
    assert!(posted > 0, "no socket");
    if leave {
        std::process::exit(0);
    }
    vec!["value".to_string()]
}

/// A child that posts anything to its parent, before its value or in place of it.
fn no_letters_of_a_child_harm_its_parent() {
    let packets = prop::collection::vec(packet(), 1..4);
    each(30, (packets, any::<bool>(), 0..METHODS.len()), |(packets, leave, method)| {
        let method = METHODS[method];
        let start = Instant::now();
        let process = Process::new(post, (packets, leave)).method(method);
        // An error names what came; a value is one that has the right shape.
        if let Ok(child) = process.start() {
            let said = child.join_timeout(SOON).map_err(|error| error.to_string());
            assert!(said.is_ok_and(|value| value.len() < 100) || child.status().is_some());
            assert_ne!(child.wait(), ExitStatus::Exited(101), "it found no socket");
        }
        assert!(start.elapsed() < SOON, "{method:?} hangs");
    });
    let value = Process::call(|| 7).method(StartMethod::ForkServer).start().unwrap().join();
    assert_eq!(value.unwrap(), 7, "and the next one is as ever");
}
