//! What the examples of `mp-pool` print.

use crate::transcripts::{Same, transcript};

#[test]
fn pool() {
    let squares = "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]";
    transcript("pool", Same::All, &[squares, squares, "100", "timed out"]);
}

#[test]
fn pool_apply() {
    let mut expected = vec!["task 1 ran in 2 for 3 ms"; 10];
    expected.push("all are done");
    let out = transcript("pool_apply", Same::Shape, &expected);
    assert!(out.ends_with("all are done\n"), "{out}");
    for task in 0..10 {
        assert!(out.contains(&format!("task {task} ran in")), "{out}");
    }
}
