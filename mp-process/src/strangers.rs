//! What a process takes out of its environment and its sockets before it trusts them, with bytes
//! of anybody's.

use std::os::fd::OwnedFd;

use mp_ipc::Message;

use crate::order::{self, Refusal};
use crate::post::{Kind, Letter};
use crate::{TaskError, init};

/// Reads `mark` as a child's mark, and the bytes and descriptors as the letters that a child and a
/// parent get: nothing panics, and what is no order is none. Whether it was one.
#[doc(hidden)]
pub fn feed(mark: &str, bytes: &[u8], fds: Vec<OwnedFd>) -> bool {
    let _ = init::named(mark);
    let letter = || Message { bytes: bytes.to_vec(), fds: Vec::new() };
    let _ = mp_ipc::decode::<Refusal>(letter());
    let _ = mp_ipc::decode::<TaskError>(letter());
    let message = Message { bytes: bytes.to_vec(), fds };
    // The function of an order that nobody of the family has sealed is not looked for.
    order::open(Letter { kind: Kind::Order, message })
        .is_some_and(|(order, _)| order.task.resolve().is_err())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_strangers_send_is_an_order_or_not(
            mark in "(main|hook|[a-z]{0,5})(:[0-9-]{0,20}){0,4}",
            len in 0..600_u32,
            fds in 0..4_usize,
            bytes in prop::collection::vec(prop_oneof![4 => 0..4_u8, 1 => any::<u8>()], 0..600),
        ) {
            let lengths = [len.to_le_bytes(), (fds as u32).to_le_bytes()].concat();
            let all = (0..fds).map(|_| File::open("/dev/null").unwrap().into()).collect();
            feed(&mark, &[&lengths[..], &bytes].concat(), all);
            feed(&mark, &bytes, Vec::new());
        }
    }
}
