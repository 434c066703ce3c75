//! What a proxy must know while a value that holds it is encoded or decoded.
//!
//! Serde has no place for it in its calls, so it stands beside the stack for their duration, as
//! the table of descriptors does. While a value is packed for the server, a proxy in it writes
//! itself as a number and is noted, so that the server counts it for the object that stores the
//! value. While a value from the server is unpacked, a proxy in it takes one of the references
//! that the server has counted for this session with its reply.

use std::cell::RefCell;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::Error;
use crate::protocol::{Blob, Key, ObjectId};
use crate::session::Session;

enum Scope {
    /// A value on its way into an object of this server.
    Value { server: u128, refs: Vec<ObjectId> },
    /// Something that holds no proxies: a key, a request to a service.
    Plain,
    /// A value that comes from an object.
    Incoming { session: Arc<Session>, refs: Vec<ObjectId> },
}

#[derive(Default)]
struct Scopes {
    stack: Vec<Scope>,
    failure: Option<Error>,
}

thread_local! {
    static SCOPES: RefCell<Scopes> = RefCell::default();
}

/// Encodes a value for an object of `session`'s server.
pub(crate) fn pack<T: Serialize + ?Sized>(session: &Session, value: &T) -> Result<Blob, Error> {
    let scope = Scope::Value { server: session.server(), refs: Vec::new() };
    let (bytes, scope) = within(scope, || postcard::to_stdvec(value));
    let refs = match scope {
        Some(Scope::Value { refs, .. }) => refs,
        _ => Vec::new(),
    };
    Ok(Blob { bytes: ByteBuf::from(bytes.map_err(encoding)?), refs })
}

/// Encodes many values.
pub(crate) fn pack_all<'a, T: Serialize + 'a>(
    session: &Session,
    values: impl IntoIterator<Item = &'a T>,
) -> Result<Vec<Blob>, Error> {
    values.into_iter().map(|value| pack(session, value)).collect()
}

/// Calls `encode` for many values; `None` if there were proxies among them.
pub(crate) fn in_values<R>(
    session: &Session,
    encode: impl FnOnce() -> Result<R, postcard::Error>,
) -> Result<Option<R>, Error> {
    let scope = Scope::Value { server: session.server(), refs: Vec::new() };
    let (result, scope) = within(scope, encode);
    let result = result.map_err(encoding)?;
    match scope {
        Some(Scope::Value { refs, .. }) if refs.is_empty() => Ok(Some(result)),
        _ => Ok(None),
    }
}

/// Encodes what holds no proxies.
pub(crate) fn pack_plain<T: Serialize + ?Sized>(value: &T) -> Result<Key, Error> {
    let (bytes, _) = within(Scope::Plain, || postcard::to_stdvec(value));
    bytes.map(ByteBuf::from).map_err(encoding)
}

/// Decodes a value from a reply to `session`.
pub(crate) fn unpack<T: DeserializeOwned>(session: &Arc<Session>, blob: &Blob) -> Result<T, Error> {
    let scope = Scope::Incoming { session: session.clone(), refs: blob.refs.clone() };
    for &object in &blob.refs {
        session.count(object);
    }
    let (value, scope) = within(scope, || mp_ipc::decode_bytes(&blob.bytes));
    if let Some(Scope::Incoming { refs, .. }) = scope {
        // The type has no use for these.
        refs.into_iter().for_each(|object| session.release(object));
    }
    value.map_err(decoding)
}

/// Decodes many values. If one cannot be decoded, the references in the others are let go.
pub(crate) fn unpack_all<T: DeserializeOwned>(
    session: &Arc<Session>,
    blobs: &[Blob],
) -> Result<Vec<T>, Error> {
    // Each is unpacked, even after one has failed, so that no reference is forgotten.
    let values: Vec<Result<T, Error>> = blobs.iter().map(|blob| unpack(session, blob)).collect();
    values.into_iter().collect()
}

/// Decodes a key.
pub(crate) fn unpack_plain<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let (value, _) = within(Scope::Plain, || mp_ipc::decode_bytes(bytes));
    value.map_err(decoding)
}

/// Where a proxy that is being encoded is going.
pub(crate) enum Outgoing {
    /// Into the object: it was noted.
    Inside,
    /// Into a message.
    Message,
}

/// Asks where a proxy of `server` goes that is being encoded, and notes it.
pub(crate) fn outgoing(server: u128, object: ObjectId) -> Result<Outgoing, Error> {
    SCOPES.with_borrow_mut(|scopes| match scopes.stack.last_mut() {
        None | Some(Scope::Incoming { .. }) => Ok(Outgoing::Message),
        Some(Scope::Value { server: theirs, refs }) if *theirs == server => {
            refs.push(object);
            Ok(Outgoing::Inside)
        }
        Some(Scope::Value { .. }) => {
            Err(Error::Proxy("a proxy can only be stored in objects of its own manager"))
        }
        Some(Scope::Plain) => {
            Err(Error::Proxy("a proxy can be stored as a value, not in a key or a request"))
        }
    })
}

/// Takes the reference to `object` that came with the value that is being decoded.
pub(crate) fn incoming(object: ObjectId) -> Result<Arc<Session>, Error> {
    SCOPES.with_borrow_mut(|scopes| match scopes.stack.last_mut() {
        Some(Scope::Incoming { session, refs }) => {
            let at = refs.iter().position(|other| *other == object).ok_or(Error::Gone)?;
            refs.swap_remove(at);
            Ok(session.clone())
        }
        _ => Err(Error::Proxy("these bytes only mean something inside of a managed object")),
    })
}

/// Keeps what went wrong, which serde's error cannot carry, for whoever made the scope.
pub(crate) fn fail(error: Error) -> String {
    let text = error.to_string();
    SCOPES.with_borrow_mut(|scopes| scopes.failure = Some(error));
    text
}

/// What went wrong in the scope that has just ended.
fn failure() -> Option<Error> {
    SCOPES.with_borrow_mut(|scopes| scopes.failure.take())
}

fn encoding(error: postcard::Error) -> Error {
    failure().unwrap_or_else(|| Error::Encode(error.to_string()))
}

fn decoding(error: mp_ipc::Error) -> Error {
    failure().unwrap_or_else(|| match error {
        mp_ipc::Error::Decode(text) => Error::Decode(text),
        other => Error::Decode(other.to_string()),
    })
}

/// Calls `code` in a scope, and gives the scope back.
fn within<R>(scope: Scope, code: impl FnOnce() -> R) -> (R, Option<Scope>) {
    /// Ends the scope, also when a user's code panics.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let scope = SCOPES.with_borrow_mut(|scopes| scopes.stack.pop());
                drop(scope);
            }
        }
    }
    SCOPES.with_borrow_mut(|scopes| {
        scopes.failure = None;
        scopes.stack.push(scope);
    });
    let end = End;
    let result = code();
    let scope = SCOPES.with_borrow_mut(|scopes| scopes.stack.pop());
    std::mem::forget(end);
    (result, scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_bytes_from_a_client_are_no_more_than_a_few_elements() {
        let key = pack_plain(&u64::MAX).unwrap();
        let decoded = unpack_plain::<Vec<()>>(&key);
        assert!(matches!(decoded, Err(Error::Decode(_))), "ten bytes, and work for centuries");
    }
}
