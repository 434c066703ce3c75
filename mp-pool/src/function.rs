//! What names a function to a worker.
//!
//! A function travels in front of its items as a *name*: an [`mp_process::Task`] that makes a
//! [`Runner`] for its types, and the function itself, which that task decodes. A worker makes a
//! runner once for each name that it meets. What may be called at all, and how that is checked, is
//! mp-process's business.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use mp_ipc::Message;
use mp_process::{FnId, Function, Task};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::codec::{self, Item, Row};
use crate::job::Job;

/// Calls a function with a job's items.
pub(crate) type Runner = Rc<dyn Fn(&mut Job)>;

thread_local! {
    /// Where the task of a name leaves what it has made.
    static MADE: RefCell<Option<Runner>> = const { RefCell::new(None) };
}

/// The names of functions that were used before, by address and types: making one takes as long
/// as a task's whole round trip.
static NAMES: LazyLock<RwLock<HashMap<Key, Arc<[u8]>>>> = LazyLock::new(RwLock::default);

/// The function's address, and the names of its types with their makers'.
type Key = (usize, &'static str, &'static str);

/// A function as it travels in front of its items.
pub(crate) fn name<A, R>(function: fn(A) -> R) -> Result<Arc<[u8]>, Error>
where
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    let key = (function as usize, type_name::<A>(), type_name::<R>());
    if let Some(name) = NAMES.read().get(&key) {
        return Ok(Arc::clone(name));
    }
    let name = make_name(make_runner::<A, R>, Function::new(function))?;
    NAMES.write().insert(key, Arc::clone(&name));
    Ok(name)
}

/// An initialiser as it travels.
pub(crate) fn name_init<A, O>(function: fn(A) -> O) -> Result<Arc<[u8]>, Error>
where
    A: DeserializeOwned + 'static,
    O: Initialised + 'static,
{
    make_name(make_initialiser::<A, O>, Function::new(function))
}

fn make_name<F: Serialize + DeserializeOwned + 'static>(
    maker: fn(F),
    function: F,
) -> Result<Arc<[u8]>, Error> {
    let id = Task::new(maker).id().map_err(|error| Error::Encode(error.to_string()))?;
    let mut name = Vec::new();
    codec::push(&mut name, &id).map_err(Error::Encode)?;
    codec::push(&mut name, &function).map_err(Error::Encode)?;
    Ok(name.into())
}

/// Finds the function that `name` stands for. Always the same for the same name.
pub(crate) fn resolve(name: &[u8]) -> Result<Runner, String> {
    let mut row = Row::new(name);
    let mut part = || match row.take() {
        Some(Item::Value(part)) => Ok(part),
        _ => Err("the name is cut short".to_owned()),
    };
    let (id, function) = (part()?, part()?);
    let task = codec::decode::<FnId>(id)?.resolve().map_err(|error| error.to_string())?;
    task.call(Message::from_bytes(function.to_vec())).map_err(|error| error.to_string())?;
    MADE.take().ok_or_else(|| "the name is of something else".to_owned())
}

fn make_runner<A, R>(function: Function<A, R>)
where
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    let function = function.pointer();
    MADE.set(Some(Rc::new(move |job| job.run(function))));
}

fn make_initialiser<A, O>(function: Function<A, O>)
where
    A: DeserializeOwned + 'static,
    O: Initialised + 'static,
{
    let function = function.pointer();
    MADE.set(Some(Rc::new(move |job| job.run_init(function))));
}

/// What an initialiser may return: nothing, or a `Result` whose error can be shown.
pub trait Initialised: Serialize {
    /// The error, in words.
    ///
    /// # Errors
    ///
    /// The initialiser's.
    fn outcome(self) -> Result<(), String>;
}

impl Initialised for () {
    fn outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl<T: Serialize, E: Serialize + Display> Initialised for Result<T, E> {
    fn outcome(self) -> Result<(), String> {
        self.map(drop).map_err(|error| error.to_string())
    }
}
