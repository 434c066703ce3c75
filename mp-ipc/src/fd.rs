//! Files, sockets and every other `OwnedFd` as fields of what is sent.
//!
//! `#[serde(with = "mp_ipc::fd")]` on a field of any type that is `AsFd` and `From<OwnedFd>`
//! sends a duplicate of its descriptor. Python: `multiprocessing.reduction.DupFd`.
//!
//! # Examples
//!
//! ```
//! use std::{fs::File, io::{Read, Write}, os::unix::net::UnixStream};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Job {
//!     #[serde(with = "mp_ipc::fd")]
//!     output: UnixStream,
//! }
//!
//! let (mut reader, output) = UnixStream::pair().unwrap();
//! let (here, there) = mp_ipc::pipe::<Job, ()>().unwrap();
//! here.send(&Job { output }).unwrap();
//!
//! there.recv().unwrap().output.write_all(b"done").unwrap();
//! let mut text = String::new();
//! reader.read_to_string(&mut text).unwrap();
//! assert_eq!(text, "done", "and the stream has ended: no duplicate is left open");
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mp_sys::fd_table;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// Writes a handle into the message being made.
///
/// # Errors
///
/// The serializer's error, outside of a message.
pub fn serialize<T: AsFd, S: Serializer>(handle: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let index = fd_table::push(handle.as_fd()).map_err(ser::Error::custom)?;
    serializer.serialize_u32(index)
}

/// Takes a handle out of the message being read.
///
/// # Errors
///
/// The deserializer's error, outside of a message or where the descriptor did not come with it.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: From<OwnedFd>,
    D: Deserializer<'de>,
{
    let index = u32::deserialize(deserializer)?;
    fd_table::take(index).map(T::from).map_err(de::Error::custom)
}

/// A descriptor that can be sent by itself or inside of other types: `Vec<Fd>`, `Option<Fd>`.
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use mp_ipc::Fd;
///
/// let (here, there) = mp_ipc::pipe::<Vec<Fd>, ()>().unwrap();
/// here.send(&vec![File::open("/dev/null").unwrap().into()]).unwrap();
/// let files: Vec<File> = there.recv().unwrap().into_iter().map(|fd| fd.0.into()).collect();
/// assert_eq!(files.len(), 1);
///
/// let file = Fd::from(File::open("/dev/null").unwrap());
/// assert!(postcard::to_stdvec(&file).is_err(), "outside of a message there is no way to go");
/// ```
#[derive(Debug)]
pub struct Fd(pub OwnedFd);

impl Serialize for Fd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Fd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fd, D::Error> {
        deserialize(deserializer).map(Fd)
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<T: Into<OwnedFd>> From<T> for Fd {
    fn from(owner: T) -> Fd {
        Fd(owner.into())
    }
}
