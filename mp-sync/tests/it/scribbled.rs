use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use crate::scribble::run;

proptest! {
    #[test]
    fn no_call_panics_or_hangs(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (done, ended) = mpsc::channel::<()>();
        let runner = thread::spawn(move || {
            run(&bytes);
            drop(done);
        });
        let hangs = ended.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout);
        prop_assert!(!hangs, "it hangs");
        prop_assert!(runner.join().is_ok(), "it has panicked");
    }
}
