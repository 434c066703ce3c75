//! What the examples of `mp-manager` do, as programs of their own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::build::{Ran, end, example, run};

/// A server, and where it listens.
fn serve(address: &str) -> (Child, String) {
    let mut command = Command::new(example("remote_server"));
    let server = command.arg(address).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = server.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let out = server.stdout.as_mut().expect("it is piped");
    BufReader::new(out).read_line(&mut line).expect("it says where");
    (server, line.trim().to_owned())
}

fn client(address: &str, what: &str) -> Ran {
    run(Command::new(example("remote_client")).args([address, what]))
}

/// Four programs share two queues, and the server begins again at the same address.
fn two_programs(address: &str) {
    let mut address = address.to_owned();
    for _round in 0..3 {
        let (server, place) = serve(&address);
        let workers = [0, 1].map(|_| {
            let mut command = Command::new(example("remote_client"));
            let worker = command.args([&place, "work"]).stdin(Stdio::null());
            worker.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        });
        let wrong = client(&place, "wrong");
        assert!(!wrong.status.success() && wrong.err.contains("Mismatch"), "{wrong:?}");
        let asked = client(&place, "ask");
        assert_eq!(asked.out, "sum of squares: 385\n", "{asked:?}");
        for worker in workers.map(end) {
            assert!(worker.status.success(), "{worker:?}");
        }
        assert!(client(&place, "stop").status.success());
        let ended = end(server);
        assert!(ended.status.success() && ended.err.is_empty(), "{ended:?}");
        let late = client(&place, "ask");
        assert!(!late.status.success(), "nobody is there: {late:?}");
        address = place;
    }
}

#[test]
fn two_programs_over_tcp() {
    two_programs("127.0.0.1:0");
}

#[test]
fn two_programs_over_a_unix_socket() {
    let name = format!("mp-two-programs-{}", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    two_programs(path.to_str().expect("it is text"));
    assert!(!path.exists(), "no file is left");
}
