//! `Pool`: workers that belong to the server.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mp_process::Task;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::Error;
use crate::handle::Handle;
use crate::op::{Op, OutcomeOp};
use crate::protocol::{Kind, Patience, Reply, Request, Shape};
use crate::proxy::proxy;
use crate::scope::{pack_plain, unpack_plain};

/// A pool of worker processes that belongs to a manager's server.
///
/// It is for processes that share one pool: any of them hands in calls, and any that is given the
/// result waits for it. A process that has a pool for itself takes `mp_pool::Pool`, which has
/// much more (time limits, retries, callbacks, results in any order), and is a step shorter.
///
/// Only processes of the server's family can use it: a function is named to others by where it
/// lies in the program, sealed with the family's key. Arguments and results hold no proxies and
/// no other handles.
///
/// Python: `SyncManager.Pool(processes)`.
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, Manager};
///
/// fn square(x: u64) -> u64 { x * x }
///
/// fn main() -> Result<(), Error> {
///     mp_process::init();
///     let manager = Manager::start()?;
///     let pool = manager.pool(2)?;
///     assert_eq!(pool.apply(square, &7)?, 49);
///     let later = pool.map_async(square, 0..5)?;
///     assert_eq!(later.get()?, [0, 1, 4, 9, 16]);
///     let failed = pool.apply(|x: u32| 1 / x, &0);
///     assert!(matches!(failed, Err(Error::Task(why)) if why.contains("divide by zero")));
///     Ok(())
/// }
/// ```
pub struct Pool {
    pub(crate) handle: Arc<Handle>,
}

proxy!(Pool, Pool);

/// The results of one call of a managed pool, which may be to come. It is a proxy as others are.
///
/// Python: `AsyncResult`.
pub struct PoolResults<R> {
    pub(crate) handle: Arc<Handle>,
    pub(crate) types: PhantomData<fn() -> (R,)>,
}

proxy!(PoolResults<R>, Outcome);

impl Pool {
    /// Calls `function` in a worker.
    ///
    /// # Blocking
    ///
    /// Waits for a worker to have done it. If the worker dies: *reports* [`Error::Task`]. If the
    /// server dies: *reports* [`Error::Disconnected`].
    ///
    /// # Errors
    ///
    /// [`Error::Task`] when the function panics or its worker dies; [`Error::Encode`],
    /// [`Error::TooBig`], [`Error::Disconnected`].
    pub fn apply<A, R>(&self, function: fn(A) -> R, argument: &A) -> Result<R, Error>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let results = self.submit(function, vec![pack_plain(argument)?])?;
        results.get()?.pop().ok_or_else(Error::unexpected)
    }

    /// Calls `function` with each of `items`, shared out among the workers.
    ///
    /// # Blocking
    ///
    /// As [`apply`](Pool::apply).
    ///
    /// # Errors
    ///
    /// As [`apply`](Pool::apply), for the first that failed.
    pub fn map<A, R>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Error>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.map_async(function, items)?.get()
    }

    /// As [`map`](Pool::map), without waiting.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`], [`Error::TooBig`], [`Error::Disconnected`].
    pub fn map_async<A, R>(
        &self,
        function: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<PoolResults<R>, Error>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let items: Result<Vec<ByteBuf>, Error> =
            items.into_iter().map(|item| pack_plain(&item)).collect();
        self.submit(function, items?)
    }

    /// Calls `function` with each of `items`, and gives the results out in their order. At most
    /// 64 items are ahead of the results that have been asked for.
    ///
    /// Python: `pool.imap(function, items)`.
    ///
    /// # Blocking
    ///
    /// The iterator waits as [`apply`](Pool::apply) does, for one result at a time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mp_manager::{Error, Manager};
    /// # fn main() -> Result<(), Error> {
    /// # mp_process::init();
    /// # let manager = Manager::start()?;
    /// let pool = manager.pool(2)?;
    /// let tenths = pool.imap(|x: u32| 10 / x, [5, 0, 2]).map(|result| result.ok());
    /// assert_eq!(tenths.collect::<Vec<_>>(), [Some(2), None, Some(5)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn imap<A, R, I>(&self, function: fn(A) -> R, items: I) -> PoolIter<A, R, I::IntoIter>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        PoolIter { pool: self.clone(), function, items: items.into_iter(), begun: VecDeque::new() }
    }

    fn submit<A, R>(
        &self,
        function: fn(A) -> R,
        items: Vec<ByteBuf>,
    ) -> Result<PoolResults<R>, Error>
    where
        A: DeserializeOwned,
        R: Serialize,
    {
        let id = Task::new(function).id().map_err(|error| Error::Task(error.to_string()))?;
        let shape = <PoolResults<R> as crate::proxy::sealed::Sealed>::shape();
        let pool = self.handle.object();
        let request =
            Request::Submit { pool, function: pack_plain(&id)?, items, types: shape.types.clone() };
        match self.handle.session().call(&request)? {
            Reply::Object(object) => {
                let handle = Handle::counted(self.handle.session().clone(), object, shape);
                Ok(PoolResults { handle, types: PhantomData })
            }
            _ => Err(Error::unexpected()),
        }
    }
}

/// How many items are on their way before their results are asked for.
const AHEAD: usize = 64;

/// What [`Pool::imap`] returns: the results one by one. At most 64 items are ahead of them.
#[derive(Debug)]
#[must_use = "nothing is called before a result is asked for"]
pub struct PoolIter<A, R, I> {
    pool: Pool,
    function: fn(A) -> R,
    items: I,
    begun: VecDeque<Result<PoolResults<R>, Error>>,
}

impl<A, R, I> Iterator for PoolIter<A, R, I>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
    I: Iterator<Item = A>,
{
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Result<R, Error>> {
        while self.begun.len() < AHEAD
            && let Some(item) = self.items.next()
        {
            self.begun.push_back(self.pool.map_async(self.function, [item]));
        }
        let results = self.begun.pop_front()?.and_then(|results| results.get());
        Some(results.and_then(|mut results| results.pop().ok_or_else(Error::unexpected)))
    }
}

impl<R: DeserializeOwned> PoolResults<R> {
    /// Waits for the results, in the order of the items. They can be got again.
    ///
    /// # Blocking
    ///
    /// As [`Pool::apply`].
    ///
    /// # Errors
    ///
    /// As [`Pool::map`]; [`Error::Decode`].
    pub fn get(&self) -> Result<Vec<R>, Error> {
        self.get_until(Patience::Forever)
    }

    /// Waits for the results no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`get`](PoolResults::get), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`get`](PoolResults::get); [`Error::TimedOut`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<Vec<R>, Error> {
        self.get_until(Patience::of(Some(timeout)))
    }

    /// Whether the results are there.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn ready(&self) -> Result<bool, Error> {
        self.handle.flag(Op::Outcome(OutcomeOp::Ready))
    }

    fn get_until(&self, wait: Patience) -> Result<Vec<R>, Error> {
        match self.handle.call(Op::Outcome(OutcomeOp::Wait(wait)))? {
            Reply::Keys(results) => results.iter().map(|bytes| unpack_plain(bytes)).collect(),
            _ => Err(Error::unexpected()),
        }
    }
}

/// What the results of a call are made as.
pub(crate) fn outcome(types: String) -> Shape {
    Shape { kind: Kind::Outcome, types }
}
