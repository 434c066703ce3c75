//! `Namespace`: named values of many types.

use std::any::type_name;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Handle;
use crate::op::{Op, TableOp};
use crate::protocol::{Blob, Reply};
use crate::proxy::proxy;
use crate::scope::{pack, pack_plain, unpack};
use crate::{Error, table};

/// Named values, each of a type of its own, that live in a manager's server.
///
/// The name of its type is stored beside each value, and asked for when it is read.
///
/// Python: `SyncManager.Namespace()`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// # use mp_manager::{Error, Manager};
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// # let manager = Manager::start()?;
/// let settings = manager.namespace()?;
/// settings.set("name", "bob")?;
/// settings.set("job", &17_u32)?;
/// assert_eq!(settings.get::<String>("name")?.as_deref(), Some("bob"));
/// assert_eq!(settings.get::<u32>("age")?, None);
/// let wrong = settings.get::<i64>("job");
/// assert!(matches!(wrong, Err(Error::Mismatch { expected, .. }) if expected == "i64"));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "NamespaceProxy")]
pub struct Namespace {
    pub(crate) handle: Arc<Handle>,
}

proxy!(Namespace, Namespace);

impl Namespace {
    /// A copy of the value with this name. Python: `n.name`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`], as for every method; [`Error::Mismatch`] if it is of another
    /// type; [`Error::Decode`].
    pub fn get<T: Serialize + DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        self.value(TableOp::Get(pack_plain(name)?))
    }

    /// Puts a value under this name, whatever was there. Python: `n.name = value`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`], [`Error::Encode`], [`Error::TooBig`].
    pub fn set<T>(&self, name: &str, value: &T) -> Result<(), Error>
    where
        T: ToOwned + Serialize + ?Sized,
    {
        let value = pack(self.handle.session(), &(type_name::<T::Owned>(), value))?;
        self.handle.flag(Op::Table(TableOp::Set(pack_plain(name)?, value))).map(drop)
    }

    /// Takes the value with this name out. If it is of another type, it is gone all the same.
    /// Python: `del n.name`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        Ok(self.handle.count(Op::Table(TableOp::RemoveMany(vec![pack_plain(name)?])))? == 1)
    }

    /// Changes the value with this name in one atomic step, and returns what it is then
    /// (`None`: nothing). `change` runs here, and is called again if another client was faster.
    ///
    /// # Errors
    ///
    /// As [`get`](Namespace::get) and [`set`](Namespace::set).
    pub fn update_in<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let pack = |after: &T| pack(self.handle.session(), &(type_name::<T>(), after));
        let open = |value: &Blob| self.open(value);
        table::update_in(&self.handle, &pack_plain(name)?, open, pack, change)
    }

    /// All names, in the order in which they were first set. Python: `dir(n)`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn names(&self) -> Result<Vec<String>, Error> {
        table::keys(&self.handle)
    }

    fn value<T: DeserializeOwned>(&self, op: TableOp) -> Result<Option<T>, Error> {
        match self.handle.call(Op::Table(op))? {
            Reply::Value(value) => value.map(|value| self.open(&value)).transpose(),
            _ => Err(Error::unexpected()),
        }
    }

    /// The value, if its type is this.
    fn open<T: DeserializeOwned>(&self, value: &Blob) -> Result<T, Error> {
        let (found, _) = postcard::take_from_bytes::<&str>(&value.bytes)
            .map_err(|error| Error::Decode(error.to_string()))?;
        if found != type_name::<T>() {
            let found = found.to_owned();
            // It fails, and lets the references go that came with it.
            let _ = unpack::<String>(self.handle.session(), value);
            return Err(Error::Mismatch { expected: type_name::<T>().to_owned(), found });
        }
        Ok(unpack::<(String, T)>(self.handle.session(), value)?.1)
    }
}
