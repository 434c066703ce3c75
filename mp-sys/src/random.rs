//! `getrandom(2)`: bytes that nobody can foretell.
#![expect(unsafe_code, reason = "getrandom writes through a pointer")]

use crate::Errno;

/// `getrandom`: `N` random bytes.
///
/// # Errors
///
/// [`Errno::NOSYS`] where a filter forbids the call.
///
/// # Examples
///
/// ```
/// let (a, b) = (mp_sys::random::bytes::<32>().unwrap(), mp_sys::random::bytes::<32>().unwrap());
/// assert_ne!(a, b);
/// ```
pub fn bytes<const N: usize>() -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let rest = &mut bytes[filled..];
        // SAFETY: the kernel writes at most `rest.len()` bytes to `rest`.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(count) {
            Ok(count) => filled += count,
            Err(_) => match crate::last_errno() {
                Errno::INTR => {}
                errno => return Err(errno),
            },
        }
    }
    Ok(bytes)
}
