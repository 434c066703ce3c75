//! What holds for any value, any exit code, and any bytes in place of a function.

use mp_ipc::{Message, decode, encode};
use mp_process::{ExitStatus, FnId, Process, StartMethod, Task};
use proptest::prelude::*;

type Value = (Vec<u8>, String, Option<i64>);

fn echo(value: Value) -> Value {
    value
}

fn leave(code: u8) {
    std::process::exit(i32::from(code))
}

fn method() -> impl Strategy<Value = StartMethod> {
    prop_oneof![Just(StartMethod::Spawn), Just(StartMethod::ForkServer)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_goes_in_comes_back(
        // Short ones travel in one packet, long ones in memory of their own.
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            prop::collection::vec(any::<u8>(), 4_000..20_000),
        ],
        text in any::<String>(),
        number in any::<Option<i64>>(),
        method in method(),
    ) {
        let value = (bytes, text, number);
        let child = Process::new(echo, value.clone()).method(method).start().unwrap();
        prop_assert_eq!(child.join().unwrap(), value);
    }

    #[test]
    fn every_exit_code_arrives(code in any::<u8>(), method in method()) {
        let child = Process::new(leave, code).method(method).start().unwrap();
        prop_assert_eq!(child.wait(), ExitStatus::Exited(i32::from(code)));
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_function(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(id) = decode::<FnId>(Message::from_bytes(bytes)) {
            prop_assert!(id.resolve().is_err());
        }
    }

    #[test]
    fn a_changed_byte_leads_to_no_other_function(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let id = Task::new(echo).id().unwrap();
        let mut bytes = encode(&id).unwrap().bytes;
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = decode::<FnId>(Message::from_bytes(bytes))
            && let Ok(task) = changed.resolve()
        {
            prop_assert_eq!(task.id().unwrap(), id);
        }
    }
}
