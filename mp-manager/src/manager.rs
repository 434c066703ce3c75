//! `Manager`: a server process, and the way to it.

use std::sync::Arc;
use std::time::Duration;

use mp_ipc::{Address, Key};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_bytes::ByteBuf;

use crate::handle::{Handle, Way};
use crate::launch::ServerProcess;
use crate::protocol::{Reply, Request};
use crate::scope;
use crate::session::{Route, Session};
use crate::{Builder, Error, Proxy};

/// A server process, and what can be made in it.
///
/// The manager that [started](Manager::start) the server ends it when it is dropped. One that
/// [connected](Manager::connect), or that came in a message, only uses it: a manager is a handle,
/// and can be given to other processes as proxies can.
///
/// An object lives as long as a proxy of it does, in whatever process, in a message, or stored in
/// another object, or as long as it is [published](Manager::publish). When the last is gone, also
/// by the death of its holder, so is the object. Objects that hold proxies of one another in a
/// circle keep one another alive until the server ends.
///
/// Python: `multiprocessing.Manager()`, `SyncManager`.
///
/// # Blocking
///
/// Each method waits for the server's answer; if the server dies, it *reports*
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// use mp_manager::{Dict, List, Manager};
/// use mp_process::Process;
///
/// fn fill((dict, list): (Dict<String, u32>, List<u32>)) {
///     dict.insert("answer", &42).unwrap();
///     list.reverse().unwrap();
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     mp_process::init();
///     let manager = Manager::start()?;
///     let dict = manager.dict()?;
///     let list = manager.list_of(0..3)?;
///     Process::new(fill, (dict.clone(), list.clone())).start()?.join()?;
///     assert_eq!(dict.get("answer")?, Some(42));
///     assert_eq!(list.to_vec()?, [2, 1, 0]);
///
///     drop((dict, list));
///     assert_eq!(manager.object_count()?, 0);
///     Ok(())
/// }
/// ```
#[doc(alias = "SyncManager")]
#[doc(alias = "BaseManager")]
pub struct Manager {
    session: Arc<Session>,
    /// The server, for the manager that started it.
    server: Option<ServerProcess>,
}

impl Manager {
    /// Starts a server process and connects to it.
    ///
    /// The server is a daemonic child: it dies with this process, whatever kills it. It ignores
    /// `SIGINT`, so that Ctrl-C ends those who use it and not what they share.
    ///
    /// # Errors
    ///
    /// [`Error::Process`] when the process cannot be started.
    pub fn start() -> Result<Manager, Error> {
        Manager::builder().start()
    }

    /// A server with types of one's own, or with other limits.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Connects to a server that [serves](Manager::serve) at `address`, from whatever program.
    ///
    /// # Blocking
    ///
    /// Waits until both sides have proved that they know the key. If the server dies: *reports*.
    ///
    /// # Errors
    ///
    /// [`Error::Ipc`] where nobody listens, or with another key.
    pub fn connect(address: &Address, key: &Key) -> Result<Manager, Error> {
        let route = Route::Gate(address.clone(), key.clone());
        Ok(Manager { session: Session::open(route)?, server: None })
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn started(session: Arc<Session>, server: ServerProcess) -> Manager {
        Manager { session, server: Some(server) }
    }

    /// Lets programs in that know the key; where the server listens then, for TCP with the real
    /// port. It can be called many times, with other addresses.
    ///
    /// A unix socket's file that a killed server has left is removed.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the address is in use, or for a manager that is not of the
    /// server's family.
    pub fn serve(&self, address: &Address, key: &Key) -> Result<Address, Error> {
        let key = ByteBuf::from(mp_ipc::encode(key)?.bytes);
        match self.session.call(&Request::Serve { address: address.clone(), key })? {
            Reply::Address(address) => Ok(address),
            _ => Err(Error::unexpected()),
        }
    }

    /// Gives an object a name, by which every client [finds](Manager::named) it. It lives until
    /// the name is taken back, even without a proxy.
    ///
    /// # Errors
    ///
    /// [`Error::NameTaken`], [`Error::Disconnected`]; [`Error::Proxy`] for an object of another
    /// manager.
    pub fn publish<P: Proxy>(&self, name: &str, proxy: &P) -> Result<(), Error> {
        if proxy.handle().session().server() != self.session.server() {
            return Err(Error::Proxy("only an object of the same manager can be published"));
        }
        let object = proxy.handle().object();
        self.unit(&Request::Publish { name: name.to_owned(), object })
    }

    /// Takes a name back.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchName`], [`Error::Disconnected`].
    pub fn unpublish(&self, name: &str) -> Result<(), Error> {
        self.unit(&Request::Unpublish { name: name.to_owned() })
    }

    /// The object of this name.
    ///
    /// The types are compared by their names, so they must come from a crate that both programs
    /// use, or from the standard library.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchName`]; [`Error::Mismatch`] when it is of another type;
    /// [`Error::Disconnected`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_manager::{Error, Manager, Queue};
    ///
    /// # fn main() -> Result<(), Error> {
    /// # mp_process::init();
    /// # let manager = Manager::start()?;
    /// manager.publish("jobs", &manager.queue::<u32>(0)?)?;
    /// let jobs: Queue<u32> = manager.named("jobs")?;
    /// let wrong = manager.named::<Queue<String>>("jobs").unwrap_err().to_string();
    /// assert_eq!(wrong, "the managed object is a Queue<u32>, not a Queue<alloc::string::String>");
    /// # Ok(())
    /// # }
    /// ```
    pub fn named<P: Proxy>(&self, name: &str) -> Result<P, Error> {
        self.object(&Request::Named { name: name.to_owned(), shape: P::shape() })
    }

    /// All names, sorted.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    pub fn names(&self) -> Result<Vec<String>, Error> {
        match self.session.call(&Request::Names)? {
            Reply::Names(names) => Ok(names),
            _ => Err(Error::unexpected()),
        }
    }

    /// How many objects the server has; those whose last proxy this process has dropped are not
    /// among them. Python: `manager._number_of_objects()`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`].
    #[doc(alias = "_number_of_objects")]
    pub fn object_count(&self) -> Result<usize, Error> {
        match self.session.call_in_order(&Request::Count)? {
            Reply::Count(count) => Ok(count as usize),
            _ => Err(Error::unexpected()),
        }
    }

    /// The server's process id, for the manager that started it.
    pub fn pid(&self) -> Option<i32> {
        self.server.as_ref().map(ServerProcess::pid)
    }

    /// Waits for the server's end, whoever ends it: for a program that does nothing but serve.
    ///
    /// Python: `server.serve_forever()`, `manager.join()`.
    ///
    /// # Blocking
    ///
    /// Waits for the end of the server process, which also its death by a signal is.
    ///
    /// # Errors
    ///
    /// [`Error::Os`], [`Error::Ipc`] if it cannot be waited for.
    #[doc(alias = "serve_forever")]
    pub fn join(&self) -> Result<(), Error> {
        ended(self.event().and_then(|never| never.wait()))
    }

    /// As [`join`](Manager::join), no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// As [`join`](Manager::join), until the time is up.
    ///
    /// # Errors
    ///
    /// As [`join`](Manager::join); [`Error::TimedOut`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), Error> {
        ended(self.event().and_then(|never| never.wait_timeout(timeout)))
    }

    /// Ends the server, as dropping the manager does that started it, and says whether it went
    /// well. A manager that only uses it just goes.
    ///
    /// # Blocking
    ///
    /// Waits a second for the server to end, and then kills it.
    ///
    /// # Errors
    ///
    /// [`Error::Process`] if the server could not be killed.
    pub fn shutdown(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(server) = self.server.take() else { return Ok(()) };
        // If it is gone already, so much the better.
        let _ = self.unit(&Request::Shutdown);
        server.end(Duration::from_secs(1))
    }

    pub(crate) fn object<P: Proxy>(&self, request: &Request) -> Result<P, Error> {
        match self.session.call(request)? {
            Reply::Object(object) => {
                Ok(P::of(Handle::counted(self.session.clone(), object, P::shape())))
            }
            _ => Err(Error::unexpected()),
        }
    }

    fn unit(&self, request: &Request) -> Result<(), Error> {
        match self.session.call(request)? {
            Reply::Unit => Ok(()),
            _ => Err(Error::unexpected()),
        }
    }
}

/// How a wait ended that only the server's end can end.
fn ended(wait: Result<(), Error>) -> Result<(), Error> {
    match wait {
        Err(Error::Disconnected) => Ok(()),
        other => other,
    }
}

/// Ends the server that this manager started: waits a second for it, and then kills it.
impl Drop for Manager {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::error!("ending a manager's server: {error}");
        }
    }
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager")
            .field("route", self.session.route())
            .field("pid", &self.pid())
            .finish()
    }
}

/// A handle: the receiver uses the server, and does not end it.
impl Serialize for Manager {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let way = Way::of(self.session.route()).map_err(ser::Error::custom)?;
        (self.session.server(), way).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Manager {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Manager, D::Error> {
        let (server, way) = <(u128, Way)>::deserialize(deserializer)?;
        match way.session(server) {
            Ok(session) => Ok(Manager { session, server: None }),
            Err(error) => Err(de::Error::custom(scope::fail(error))),
        }
    }
}
