//! `Value`: one managed value.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Handle;
use crate::op::{Op, TableOp};
use crate::protocol::{Key, Reply};
use crate::proxy::proxy;
use crate::scope::{pack, unpack};
use crate::{Error, table};

/// One value that lives in a manager's server.
///
/// If it is a plain number and all processes are on one machine, an `mp_shm::Value` does the same
/// without a server.
///
/// Python: `SyncManager.Value(typecode, value)`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// # use mp_manager::Manager;
/// # fn main() -> Result<(), mp_manager::Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let title = manager.value(&String::from("draft"))?;
/// title.update(|title| title + " 2")?;
/// assert_eq!(title.get()?, "draft 2");
/// assert_eq!(title.replace(&String::from("final"))?, "draft 2");
/// # Ok(())
/// # }
/// ```
pub struct Value<T> {
    pub(crate) handle: Arc<Handle>,
    pub(crate) types: PhantomData<fn() -> (T,)>,
}

proxy!(Value<T>, Value);

impl<T: Serialize + DeserializeOwned> Value<T> {
    /// It is a table with one place, whose key is empty.
    pub(crate) fn key() -> Key {
        Key::new()
    }

    /// A copy of the value.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`], as for every method; [`Error::Decode`].
    pub fn get(&self) -> Result<T, Error> {
        self.value(TableOp::Get(Self::key()))
    }

    /// Puts `value` in its place.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`], [`Error::Encode`], [`Error::TooBig`].
    pub fn set(&self, value: &T) -> Result<(), Error> {
        let value = pack(self.handle.session(), value)?;
        self.handle.flag(Op::Table(TableOp::Set(Self::key(), value))).map(drop)
    }

    /// Puts `value` in its place, and returns what was there.
    ///
    /// # Errors
    ///
    /// As [`get`](Value::get) and [`set`](Value::set).
    pub fn replace(&self, value: &T) -> Result<T, Error> {
        let value = pack(self.handle.session(), value)?;
        self.value(TableOp::Insert(Self::key(), value))
    }

    /// Changes the value in one atomic step, and returns what it is then. `change` runs here, and
    /// is called again if another client was faster.
    ///
    /// # Errors
    ///
    /// As [`get`](Value::get) and [`set`](Value::set).
    pub fn update(&self, mut change: impl FnMut(T) -> T) -> Result<T, Error> {
        let session = self.handle.session();
        let (unpack, pack) = (|value: &_| unpack(session, value), |value: &_| pack(session, value));
        let change = |before: Option<T>| before.map(&mut change);
        table::update_in(&self.handle, &Self::key(), unpack, pack, change)?
            .ok_or_else(Error::unexpected)
    }

    fn value(&self, op: TableOp) -> Result<T, Error> {
        match self.handle.call(Op::Table(op))? {
            Reply::Value(Some(value)) => unpack(self.handle.session(), &value),
            _ => Err(Error::unexpected()),
        }
    }
}
