//! The secret that the processes of one family share.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

pub(crate) const KEY_LEN: usize = 32;

static KEY: OnceLock<[u8; KEY_LEN]> = OnceLock::new();

/// A key that this process shares with those that started it and those that it starts, and with
/// nobody else: random, made by the first of them that asks, and handed down at each start.
///
/// Python: `current_process().authkey`.
///
/// # Examples
///
/// ```
/// assert_eq!(mp_process::authkey(), mp_process::authkey());
/// ```
pub fn authkey() -> &'static [u8; KEY_LEN] {
    KEY.get_or_init(|| mp_sys::random::bytes().unwrap_or_else(|_| fallback()))
}

/// Takes over the parent's key, before anything has asked for one.
pub(crate) fn adopt(key: [u8; KEY_LEN]) {
    // A process forked by its parent has the key already.
    let _ = KEY.set(key);
}

/// Sixteen bytes that only a member of the family can have made of `text`.
pub(crate) fn seal(text: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(authkey());
    hash.update(text);
    hash.update(authkey());
    let digest = hash.finalize();
    std::array::from_fn(|at| digest[at])
}

/// Where a filter forbids getrandom(2): std's own random keys, which come by other ways too.
fn fallback() -> [u8; KEY_LEN] {
    let state = RandomState::new();
    let words: [u64; KEY_LEN / 8] = std::array::from_fn(|n| state.hash_one(n));
    std::array::from_fn(|at| words[at / 8].to_ne_bytes()[at % 8])
}
