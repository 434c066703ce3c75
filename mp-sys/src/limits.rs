//! `setrlimit(2)`: what a process may use up.

use rustix::process::{Rlimit, setrlimit};

use crate::Errno;

pub use rustix::process::Resource;

/// `setrlimit`: sets both the soft and the hard limit of this process on `resource`; `None` is
/// "without limit".
///
/// # Errors
///
/// [`Errno::PERM`] for more than the present hard limit, without the privilege.
///
/// # Examples
///
/// ```
/// use mp_sys::limits::{Resource, set};
///
/// set(Resource::Core, Some(0)).unwrap();
/// ```
pub fn set(resource: Resource, limit: Option<u64>) -> Result<(), Errno> {
    setrlimit(resource, Rlimit { current: limit, maximum: limit })
}
