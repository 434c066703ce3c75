//! The examples run and print what they are meant to.

use std::process::Command;

/// The output of an example, which `cargo test` has built beside this test.
fn run(name: &str) -> Option<String> {
    let path = std::env::current_exe().unwrap().with_file_name("").join("../examples").join(name);
    if !path.exists() {
        // `cargo test --test it` alone builds no examples.
        return None;
    }
    let output = Command::new(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn tokio() {
    let expected = "1 squared is 1\n2 squared is 4\n3 squared is 9\n";
    assert!(run("tokio").is_none_or(|output| output == expected));
}

#[test]
fn listener() {
    let expected = "client: the other side does not have the same key\n\
        client: (\"numbers\", [2.25, 1e100])\n\
        client: 5 bytes\n\
        client: the other side is closed\n";
    assert!(run("listener").is_none_or(|output| output == expected));
}
