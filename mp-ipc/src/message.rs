//! A message: the bytes of a value, and the descriptors of the handles in it.

use std::cell::RefCell;
use std::os::fd::OwnedFd;

use mp_sys::fd_table;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::budget::{Budget, Counted};
use crate::explain::explain;
use crate::raw::short::{Short, Writer};

/// What travels: bytes, and the descriptors that stand in them as numbers.
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use mp_ipc::{Error, Fd, Message, decode, encode};
///
/// let message = encode(&Fd::from(File::open("/dev/null").unwrap())).unwrap();
/// assert_eq!((message.bytes.len(), message.fds.len()), (1, 1));
/// let without = Message::from_bytes(message.bytes);
/// assert!(matches!(decode::<Fd>(without), Err(Error::Handle(_))), "the number alone is nothing");
/// ```
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
///
/// let poisoned = std::sync::Mutex::new(1);
/// let _ = std::panic::catch_unwind(|| {
///     let _guard = poisoned.lock().unwrap();
///     panic!("with the lock held");
/// });
/// assert!(matches!(mp_ipc::encode(&poisoned), Err(mp_ipc::Error::Encode(_))));
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Message, Error> {
    let mut short = Short::default();
    if encode_short(value, &mut short) {
        return Ok(Message::from_bytes(short.bytes().to_vec()));
    }
    let mut bytes = Vec::new();
    let fds = encode_into(value, &mut bytes)?;
    Ok(Message { bytes, fds })
}

/// Writes `value` into `short`, which is empty. `false` when it is too long or holds a handle or
/// fails: then the long way finds out which.
#[inline]
pub(crate) fn encode_short<T: Serialize + ?Sized>(value: &T, short: &mut Short) -> bool {
    // Outside of a message a handle cannot be written at all.
    fd_table::is_idle() && postcard::serialize_with_flavor(value, Writer(short)).is_ok()
}

/// Gives `act` the bytes and the descriptors of `value`, out of memory that is used again.
#[inline]
pub(crate) fn with_encoded<T: Serialize + ?Sized, R>(
    value: &T,
    act: impl FnOnce(&[u8], &[OwnedFd]) -> Result<R, Error>,
) -> Result<R, Error> {
    let mut short = Short::default();
    if encode_short(value, &mut short) {
        return act(short.bytes(), &[]);
    }
    with_scratch(|scratch| {
        let fds = encode_into(value, scratch)?;
        act(scratch, &fds)
    })
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
                None => Error::Encode(explain(value).unwrap_or_else(|| error.to_string())),
            }
        })
    });
    *bytes = result?;
    Ok(fds)
}

thread_local! {
    /// Where values are encoded and decoded. It keeps its room.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The scratch keeps no more than this from one call to the next.
const SCRATCH_MAX: usize = 1 << 20;

/// Runs `act` with an empty buffer, which calls inside of `act` do not share.
#[inline]
pub(crate) fn with_scratch<R>(act: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut scratch = SCRATCH.with(RefCell::take);
    scratch.clear();
    let result = act(&mut scratch);
    if scratch.capacity() <= SCRATCH_MAX {
        SCRATCH.with(|place| place.replace(scratch));
    }
    result
}

/// Reads a value from a message, all of whose bytes it must use.
///
/// Bytes that are no such value are an error and nothing else: they cannot make this process
/// execute, panic, overflow its stack, allocate more than a few times their own length, or go on
/// for long.
///
/// # Errors
///
/// [`Error::Decode`] when the bytes do not fit the type, or when more than 65,536 elements of
/// lists and maps in it take no bytes, as those of `Vec<()>`; [`Error::TooDeep`] when more than
/// 128 lists, maps, options and enums lie inside of one another, as they can where a type contains
/// itself; [`Error::Handle`] when a handle's descriptor did not come with them.
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
/// let forever = mp_ipc::encode(&u64::MAX).unwrap();
/// assert!(matches!(mp_ipc::decode::<Vec<()>>(forever), Err(Error::Decode(_))));
/// ```
pub fn decode<T: DeserializeOwned>(message: Message) -> Result<T, Error> {
    let Message { bytes, fds } = message;
    decode_from(&bytes, fds)
}

/// As [`decode`], from borrowed bytes.
#[inline]
pub(crate) fn decode_from<T: DeserializeOwned>(
    bytes: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<T, Error> {
    // As in `encode_short`: if it fails, the rest finds out why.
    if fds.is_empty()
        && fd_table::is_idle()
        && let Ok((value, [])) = take_from(bytes, &Budget::of(bytes.len()))
    {
        return Ok(value);
    }
    decode_supplied(bytes, fds)
}

/// Reads a value without handles from `bytes`, all of which it must use and some of which it may
/// borrow: [`decode`] for bytes that came some other way than as a [`Message`].
///
/// # Errors
///
/// As [`decode`], with [`Error::Decode`] for a handle.
///
/// # Examples
///
/// ```
/// let bytes = mp_ipc::encode(&(1u8, "one"))?.bytes;
/// assert_eq!(mp_ipc::decode_bytes::<(u8, &str)>(&bytes)?, (1, "one"));
/// assert!(mp_ipc::decode_bytes::<(u8, &str)>(&bytes[..3]).is_err());
/// # Ok::<(), mp_ipc::Error>(())
/// ```
#[inline]
pub fn decode_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    let budget = Budget::of(bytes.len());
    whole(take_from(bytes, &budget), &budget)
}

/// A value from the start of `bytes`, and the rest of them.
#[inline]
fn take_from<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    budget: &Budget,
) -> Result<(T, &'a [u8]), postcard::Error> {
    let mut deserializer = postcard::Deserializer::from_bytes(bytes);
    let value = T::deserialize(Counted::new(&mut deserializer, budget))?;
    Ok((value, deserializer.finalize()?))
}

#[cold]
fn decode_supplied<T: DeserializeOwned>(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<T, Error> {
    let budget = Budget::of(bytes.len());
    fd_table::supply(fds, || {
        whole(take_from(bytes, &budget), &budget)
            .map_err(|error| fd_table::failure().map_or(error, Error::Handle))
    })
}

/// The value, if nothing is left over, or else what is wrong.
#[inline]
fn whole<T>(taken: Result<(T, &[u8]), postcard::Error>, budget: &Budget) -> Result<T, Error> {
    match taken {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Error::Decode(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(budget.excess().unwrap_or_else(|| Error::Decode(error.to_string()))),
    }
}
