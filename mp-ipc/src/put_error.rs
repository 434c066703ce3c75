//! What a put that fails gives back.

use std::fmt;

use crate::Error;

/// A value that could not be put, and why.
///
/// It becomes an [`Error`] where the value is of no interest, as with `?`. Queues whose errors are
/// others name theirs as `E`.
///
/// # Examples
///
/// ```
/// use mp_ipc::{Error, Queue};
///
/// let queue = Queue::new(1)?;
/// queue.put("one".to_string())?;
/// let failed = queue.try_put("two".to_string()).unwrap_err();
/// assert!(matches!(failed.error(), Error::Full));
/// let (value, error) = failed.into_parts();
/// assert_eq!((value.as_str(), error.to_string().as_str()), ("two", "there is no room to send"));
/// # Ok::<(), Error>(())
/// ```
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct PutError<V, E = Error>
where
    E: std::error::Error + 'static,
{
    value: V,
    #[source]
    error: E,
}

impl<V, E: std::error::Error + 'static> PutError<V, E> {
    /// `value` could not be put because of `error`.
    pub fn new(value: V, error: E) -> PutError<V, E> {
        PutError { value, error }
    }

    pub(crate) fn map<W>(self, other: impl FnOnce(V) -> W) -> PutError<W, E> {
        PutError { value: other(self.value), error: self.error }
    }

    /// Why.
    pub fn error(&self) -> &E {
        &self.error
    }

    /// The value.
    pub fn into_value(self) -> V {
        self.value
    }

    /// Both.
    pub fn into_parts(self) -> (V, E) {
        (self.value, self.error)
    }
}

impl<V, E: std::error::Error + 'static> fmt::Debug for PutError<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PutError").field(&self.error).finish()
    }
}

impl<V> From<PutError<V>> for Error {
    fn from(failed: PutError<V>) -> Error {
        failed.error
    }
}
