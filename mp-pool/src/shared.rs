//! Data that is handed over once, however many tasks use it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use mp_ipc::Message;
use mp_process::Function;
use mp_shm::{Array, Element, Frozen};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Pool, TaskError, keep, with_kept};

/// A value in shared memory that tasks read: it travels as a descriptor, and each worker decodes
/// it once.
///
/// It cannot be changed. Plain numbers need no decoding at all: [`mp_shm::Frozen`] is a slice that
/// every process sees at once.
///
/// # Examples
///
/// ```
/// use mp_pool::{Pool, Shared};
///
/// fn look_up((words, at): (Shared<Vec<String>>, usize)) -> Option<String> {
///     words.get().unwrap().get(at).cloned()
/// }
///
/// # let pool = Pool::builder().workers(2).threads().start()?;
/// let words = Shared::new(&vec!["one".to_string(), "two".to_string()])?;
/// let found = pool.map(look_up, (0..3).map(|at| (words.clone(), at)))?;
/// assert_eq!(found, [Some("one".into()), Some("two".into()), None]);
/// # Ok::<(), mp_pool::Error>(())
/// ```
///
/// Python: mpire's `shared_objects`.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Shared<T> {
    bytes: Frozen<u8>,
    value: PhantomData<fn() -> T>,
}

/// What a worker has decoded.
struct Decoded<T>(Vec<(Frozen<u8>, Arc<T>)>);

impl<T: Serialize + DeserializeOwned + 'static> Shared<T> {
    /// Writes `value` into shared memory.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] if it cannot be encoded or holds handles, [`Error::Shared`] if there is
    /// no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, Shared};
    ///
    /// assert_eq!(*Shared::new(&vec![1, 2])?.get()?, [1, 2]);
    /// let file = mp_ipc::Fd(std::fs::File::open("/dev/null").unwrap().into());
    /// assert!(matches!(Shared::new(&file), Err(Error::Encode(_))), "a handle is for one receiver");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn new(value: &T) -> Result<Shared<T>, Error> {
        let message = mp_ipc::encode(value).map_err(|error| Error::Encode(error.to_string()))?;
        if !message.fds.is_empty() {
            return Err(Error::Encode("a shared value cannot hold handles".into()));
        }
        Ok(Shared { bytes: Frozen::from_slice(&message.bytes)?, value: PhantomData })
    }

    /// The value. In a worker it is decoded the first time and kept; elsewhere each time.
    ///
    /// # Errors
    ///
    /// [`Error::Task`] with [`TaskError::Codec`] if it cannot be decoded.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use mp_pool::Shared;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(1).threads().start()?;
    /// let word = Shared::new(&"word".to_string())?;
    /// let same = pool.apply(|w: Shared<String>| Arc::ptr_eq(&w.get().unwrap(), &w.get().unwrap()), word)?;
    /// assert!(same, "a worker decodes it once");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn get(&self) -> Result<Arc<T>, Error> {
        let known = with_kept(|decoded: &mut Decoded<T>| {
            let known = decoded.0.iter().find(|(bytes, _)| bytes.same(&self.bytes));
            known.map(|(_, value)| Arc::clone(value))
        });
        if let Some(Some(value)) = known {
            return Ok(value);
        }
        let message = Message::from_bytes(self.bytes.to_vec());
        let value: T =
            mp_ipc::decode(message).map_err(|error| TaskError::Codec(error.to_string()))?;
        let value = Arc::new(value);
        let entry = (self.bytes.clone(), Arc::clone(&value));
        match known {
            Some(None) => {
                with_kept(|decoded: &mut Decoded<T>| decoded.0.push(entry));
            }
            _ => drop(keep(Decoded(vec![entry]))),
        }
        Ok(value)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared { bytes: self.bytes.clone(), value: PhantomData }
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("bytes", &self.bytes.len()).finish()
    }
}

/// Into how many parts `map_array` cuts its array, for each worker.
const PARTS_PER_WORKER: usize = 8;

impl Pool {
    /// Replaces each element of a shared array by what `function` makes of it, in place: no
    /// element is encoded.
    ///
    /// # Blocking
    ///
    /// As [`AsyncResult::get`](crate::AsyncResult::get).
    ///
    /// # Errors
    ///
    /// [`Error::Task`] with the first failure. The part of the array where it happened is then
    /// changed up to some element; the other parts are done.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_shm::Array;
    ///
    /// # let pool = mp_pool::Pool::builder().workers(2).threads().start()?;
    /// let array = Array::from_slice(&[1u64, 2, 3, 4])?;
    /// pool.map_array(|x| x * x, &array)?;
    /// assert_eq!(array.to_vec(), [1, 4, 9, 16]);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn map_array<T>(&self, function: fn(T) -> T, array: &Array<T>) -> Result<(), Error>
    where
        T: Element + Serialize + DeserializeOwned + 'static,
    {
        let size = array.len().div_ceil(self.workers() * PARTS_PER_WORKER).max(1);
        let parts = (0..array.len()).step_by(size).map(|from| {
            let part = array.slice(from..array.len().min(from + size))?;
            Ok((Function::new(function), part))
        });
        let parts = parts.collect::<Result<Vec<_>, mp_shm::Error>>()?;
        self.with().chunk(1).map(change, parts).map(drop)
    }
}

/// How many elements are copied out and back at a time.
const STRETCH: usize = 1024;

fn change<T: Element>((function, part): (Function<T, T>, Array<T>)) -> Result<(), String> {
    let function = function.pointer();
    let mut values = Vec::new();
    for from in (0..part.len()).step_by(STRETCH) {
        let stretch =
            part.slice(from..part.len().min(from + STRETCH)).map_err(|e| e.to_string())?;
        values.clear();
        values.extend(stretch.iter().map(function));
        stretch.copy_from_slice(&values).map_err(|e| e.to_string())?;
    }
    Ok(())
}
