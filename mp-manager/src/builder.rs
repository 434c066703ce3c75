//! `Builder`: a server with types of one's own.

use mp_process::{Function, StartMethod};

use crate::protocol::REQUEST_MAX;
use crate::service::install;
use crate::{Error, Manager, Service, launch};

/// What a server is to be like.
///
/// # Examples
///
/// ```
/// use mp_manager::{Error, Manager};
///
/// # fn main() -> Result<(), Error> {
/// # mp_process::init();
/// let manager = Manager::builder().request_limit(1 << 10).start()?;
/// let list = manager.list::<Vec<u8>>()?;
/// assert!(matches!(list.push(&vec![0; 2000]), Err(Error::TooBig { max: 1024, .. })));
/// list.push(&vec![0; 1000])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "start it"]
pub struct Builder {
    pub(crate) services: Vec<(String, Function<String, ()>)>,
    pub(crate) request_max: usize,
    pub(crate) method: Option<StartMethod>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { services: Vec::new(), request_max: REQUEST_MAX, method: None }
    }
}

impl Builder {
    /// Lets objects of the type `S` be [created](Manager::create) under this name.
    ///
    /// Python: `BaseManager.register(typeid, callable)`.
    pub fn register<S: Service>(mut self, name: &str) -> Builder {
        self.services.push((name.to_owned(), Function::new(install::<S>)));
        self
    }

    /// The longest request that the server accepts, in bytes: 64 MiB unless said otherwise. The
    /// server keeps at most so much of a request that is not complete.
    pub fn request_limit(mut self, bytes: usize) -> Builder {
        self.request_max = bytes;
        self
    }

    /// How the server process is started.
    pub fn method(mut self, method: StartMethod) -> Builder {
        self.method = Some(method);
        self
    }

    /// Starts the server and connects to it.
    ///
    /// # Errors
    ///
    /// As [`Manager::start`].
    pub fn start(self) -> Result<Manager, Error> {
        launch::start(self)
    }
}
