use mp_sys::fd_table;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Sends `value` through a message, as a transport would.
pub(crate) fn travel<T: Serialize + DeserializeOwned>(value: &T) -> T {
    travel_as(value).unwrap()
}

/// Sends `value` to somebody who takes it for a `U`.
pub(crate) fn travel_as<T: Serialize, U: DeserializeOwned>(
    value: &T,
) -> Result<U, postcard::Error> {
    let (bytes, fds) = fd_table::collect(|| postcard::to_stdvec(value));
    fd_table::supply(fds, || postcard::from_bytes(&bytes.unwrap()))
}
