//! A message: the bytes of a value, and the descriptors of the handles in it.

use std::os::fd::OwnedFd;

use mp_sys::fd_table;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::explain::explain;

/// What travels: bytes, and the descriptors that stand in them as numbers.
#[derive(Debug, Default)]
pub struct Message {
    /// The value, encoded.
    pub bytes: Vec<u8>,
    /// What the handles in the value refer to, by index.
    pub fds: Vec<OwnedFd>,
}

impl Message {
    /// A message of plain bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Message {
        Message { bytes, fds: Vec::new() }
    }
}

/// Writes `value` as a message. Handles in it are duplicated into the message.
///
/// # Errors
///
/// [`Error::Encode`] when the type's `Serialize` fails; [`Error::Handle`] when descriptors run
/// out.
///
/// # Examples
///
/// ```
/// let message = mp_ipc::encode(&(1u8, "one")).unwrap();
/// assert_eq!(mp_ipc::decode::<(u8, String)>(message).unwrap(), (1, "one".to_string()));
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Message, Error> {
    let (result, fds) = fd_table::collect(|| {
        postcard::to_stdvec(value).map_err(|error| match fd_table::failure() {
            Some(cause) => Error::Handle(cause),
            None => Error::Encode(explain(value).unwrap_or_else(|| error.to_string())),
        })
    });
    Ok(Message { bytes: result?, fds })
}

/// As [`encode`], onto the end of `bytes`, which keeps its room for the next value.
pub(crate) fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<Vec<OwnedFd>, Error> {
    let (result, fds) = fd_table::collect(|| {
        postcard::to_extend(value, std::mem::take(bytes)).map_err(|error| {
            match fd_table::failure() {
                Some(cause) => Error::Handle(cause),
                None => Error::Encode(error.to_string()),
            }
        })
    });
    *bytes = result?;
    Ok(fds)
}

/// Reads a value from a message, all of whose bytes it must use.
///
/// Bytes that are no such value are an error and nothing else: they cannot make this process
/// execute, panic or allocate more than a few times their own length.
///
/// # Errors
///
/// [`Error::Decode`] when the bytes do not fit the type; [`Error::Handle`] when a handle's
/// descriptor did not come with them.
///
/// # Examples
///
/// ```
/// use mp_ipc::{Error, Message};
///
/// let message = mp_ipc::encode(&(1u8, 2u8)).unwrap();
/// assert!(matches!(mp_ipc::decode::<u8>(message), Err(Error::Decode(_))), "one byte is left");
/// let garbage = Message::from_bytes(vec![0xff; 4]);
/// assert!(matches!(mp_ipc::decode::<String>(garbage), Err(Error::Decode(_))));
/// ```
pub fn decode<T: DeserializeOwned>(message: Message) -> Result<T, Error> {
    let Message { bytes, fds } = message;
    decode_from(&bytes, fds)
}

/// As [`decode`], from borrowed bytes.
pub(crate) fn decode_from<T: DeserializeOwned>(
    bytes: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<T, Error> {
    fd_table::supply(fds, || match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Error::Decode(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(match fd_table::failure() {
            Some(cause) => Error::Handle(cause),
            None => Error::Decode(error.to_string()),
        }),
    })
}
