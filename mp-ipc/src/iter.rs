//! The items of a queue, one after the other.

use serde::de::DeserializeOwned;

use crate::{Error, Queue};

impl<T: DeserializeOwned> Queue<T> {
    /// The items as they come, until the queue is closed and empty.
    ///
    /// An error is an item, too. After [`Error::Decode`] go on with the next one; stop at any
    /// other, which would come again.
    ///
    /// # Blocking
    ///
    /// Each step as [`get`](Queue::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::Queue;
    ///
    /// let queue = Queue::new(0)?;
    /// queue.put_many([1, 2, 3])?;
    /// queue.close();
    /// assert_eq!(queue.iter().sum::<Result<u32, _>>()?, 6);
    /// # Ok::<(), mp_ipc::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { queue: self }
    }

    /// The items that are there, until none is. Of errors, as [`iter`](Queue::iter).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_ipc::{Error, Queue};
    ///
    /// let queue = Queue::new(0)?;
    /// queue.put_many([1, 2, 3])?;
    /// assert_eq!(queue.drain().collect::<Result<Vec<u32>, _>>()?, [1, 2, 3]);
    /// assert_eq!(queue.drain().count(), 0, "it does not wait");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn drain(&self) -> Drain<'_, T> {
        Drain { queue: self }
    }
}

/// Iterator of [`Queue::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    queue: &'a Queue<T>,
}

impl<T: DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Result<T, Error>> {
        match self.queue.get() {
            Err(Error::Closed) => None,
            got => Some(got),
        }
    }
}

impl<'a, T: DeserializeOwned> IntoIterator for &'a Queue<T> {
    type Item = Result<T, Error>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// Iterator of [`Queue::drain`].
#[derive(Debug)]
pub struct Drain<'a, T> {
    queue: &'a Queue<T>,
}

impl<T: DeserializeOwned> Iterator for Drain<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Result<T, Error>> {
        match self.queue.try_get() {
            Err(Error::Closed | Error::Empty) => None,
            got => Some(got),
        }
    }
}
