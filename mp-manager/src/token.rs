//! Numbers that nobody guesses.

use crate::protocol::Token;

/// A random number.
///
/// # Panics
///
/// Where the kernel gives no random numbers, which a filter on system calls could bring about.
pub(crate) fn random() -> Token {
    Token::from_le_bytes(mp_sys::random::bytes().expect("getrandom(2) is there since Linux 3.17"))
}
