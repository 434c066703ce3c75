//! `Served`: the proxy of an object of a user's type.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::handle::Handle;
use crate::op::Op;
use crate::protocol::{Init, Reply, Request};
use crate::proxy::proxy;
use crate::proxy::sealed::Sealed;
use crate::scope::{pack_plain, unpack_plain};
use crate::session::Session;
use crate::{CallError, Error, Service};

/// A proxy of an object of a user's type that lives in a manager's server.
///
/// See [`Service`] for an example.
pub struct Served<S> {
    handle: Arc<Handle>,
    types: PhantomData<fn() -> (S,)>,
}

proxy!(Served<S>, Service);

impl<S: Service> Served<S> {
    pub(crate) fn create(
        session: &Arc<Session>,
        name: &str,
        args: &S::Args,
    ) -> Result<Served<S>, CallError<S::Error>> {
        let shape = <Served<S> as Sealed>::shape();
        let init = Init::Service { name: name.to_owned(), args: pack_plain(args)? };
        match session.call(&Request::Create { shape: shape.clone(), init }) {
            Ok(Reply::Object(object)) => {
                let handle = Handle::counted(session.clone(), object, shape);
                Ok(Served { handle, types: PhantomData })
            }
            Ok(_) => Err(Error::unexpected().into()),
            Err(Error::NotOpened(bytes)) => Err(CallError::Refused(unpack_plain(&bytes)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks the object.
    ///
    /// # Blocking
    ///
    /// Waits until the object has answered those who asked before, and this. If the server dies:
    /// *reports* [`Error::Disconnected`]. A handler that does not return keeps its caller
    /// waiting: *may hang*.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with the type's own error; [`Error::Panicked`] if a handler of this
    /// object has panicked; [`Error::Disconnected`].
    pub fn call(&self, request: &S::Request) -> Result<S::Reply, CallError<S::Error>> {
        match self.handle.call(Op::Service(pack_plain(request)?))? {
            Reply::Called { bytes, refused: false } => Ok(unpack_plain(&bytes)?),
            Reply::Called { bytes, refused: true } => {
                Err(CallError::Refused(unpack_plain::<S::Error>(&bytes)?))
            }
            _ => Err(Error::unexpected().into()),
        }
    }
}
