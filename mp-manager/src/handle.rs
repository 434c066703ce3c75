//! What every proxy is inside: one counted reference to an object.

use std::cell::Cell;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;

use mp_ipc::{Address, Key};
use mp_sys::fd_table;
use mp_sys::socket::SendFlags;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::op::Op;
use crate::protocol::{Failure, ObjectId, Reply, Request, Shape, Token};
use crate::scope::{self, Outgoing};
use crate::session::{Route, Session};
use crate::{Error, door, token};

/// A reference of this process to an object. Clones of a proxy share one.
pub struct Handle {
    session: Arc<Session>,
    object: ObjectId,
    shape: Shape,
}

impl Handle {
    /// A reference that the server has counted for this session.
    pub(crate) fn counted(session: Arc<Session>, object: ObjectId, shape: Shape) -> Arc<Handle> {
        session.count(object);
        Arc::new(Handle { session, object, shape })
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn object(&self) -> ObjectId {
        self.object
    }

    pub(crate) fn request(&self, op: Op) -> Request {
        Request::Op { object: self.object, op }
    }

    pub(crate) fn call(&self, op: Op) -> Result<Reply, Error> {
        self.session.call(&self.request(op))
    }

    /// Sends all of `ops`, each as soon as it is made, before waiting for the first reply.
    pub(crate) fn call_all(
        &self,
        ops: impl IntoIterator<Item = Result<Op, Error>>,
    ) -> Result<Vec<Reply>, Error> {
        self.session.with_link(|link| {
            let (mut sent, mut failed) = (0, None);
            for op in ops {
                match op.and_then(|op| link.push(&self.request(op))) {
                    Ok(()) => sent += 1,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
                link.flush(SendFlags::empty())?;
            }
            // All replies are taken off the connection, also after a failure.
            let replies: Vec<_> = (0..sent).map(|_| link.reply()).collect();
            match failed {
                Some(error) => Err(error),
                None => replies.into_iter().collect(),
            }
        })
    }

    pub(crate) fn unit(&self, op: Op) -> Result<(), Error> {
        match self.call(op)? {
            Reply::Unit => Ok(()),
            _ => Err(Error::unexpected()),
        }
    }

    pub(crate) fn count(&self, op: Op) -> Result<usize, Error> {
        match self.call(op)? {
            Reply::Count(count) => Ok(count as usize),
            _ => Err(Error::unexpected()),
        }
    }

    pub(crate) fn flag(&self, op: Op) -> Result<bool, Error> {
        match self.call(op)? {
            Reply::Flag(flag) => Ok(flag),
            _ => Err(Error::unexpected()),
        }
    }

    pub(crate) fn same(&self, other: &Handle) -> bool {
        self.object == other.object && self.session.server() == other.session.server()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.session.release(self.object);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(object {})", self.shape.name(), self.object)
    }
}

/// How a server is found by the receiver of a message.
#[derive(Serialize, Deserialize)]
pub(crate) enum Way {
    /// The number of the door among the message's descriptors.
    Door(u32),
    Gate(Address, Key),
}

#[derive(Serialize, Deserialize)]
enum Form {
    Inside { object: ObjectId, shape: Shape },
    Message { server: u128, way: Way, ticket: Token, shape: Shape },
}

impl Way {
    pub(crate) fn of(route: &Route) -> Result<Way, fd_table::Error> {
        Ok(match route {
            Route::Door(door) => Way::Door(fd_table::push_once(door.as_fd())?),
            Route::Gate(address, key) => Way::Gate(address.clone(), key.clone()),
        })
    }

    pub(crate) fn session(self, server: u128) -> Result<Arc<Session>, Error> {
        Session::with(server, || match self {
            Way::Gate(address, key) => Ok(Route::Gate(address, key)),
            Way::Door(index) => {
                let copy = fd_table::with(index, |door| door.try_clone_to_owned())?;
                let door = copy.map_err(|error| Error::from_io("dup", &error))?;
                Ok(Route::Door(Arc::new(door)))
            }
        })
    }
}

impl Handle {
    fn form(&self) -> Result<Form, Error> {
        let shape = self.shape.clone();
        match scope::outgoing(self.session.server(), self.object)? {
            Outgoing::Inside => Ok(Form::Inside { object: self.object, shape }),
            Outgoing::Message => {
                fd_table::message()?;
                let way = Way::of(self.session.route())?;
                let message = message_of(&self.session)?;
                let request = Request::Ticket { object: self.object, message };
                match self.session.call(&request)? {
                    Reply::Ticket(ticket) => {
                        Ok(Form::Message { server: self.session.server(), way, ticket, shape })
                    }
                    _ => Err(Error::unexpected()),
                }
            }
        }
    }

    fn from_form(form: Form) -> Result<Arc<Handle>, Error> {
        match form {
            Form::Inside { object, shape } => {
                // Counted when the value came.
                let session = scope::incoming(object)?;
                Ok(Arc::new(Handle { session, object, shape }))
            }
            Form::Message { server, way, ticket, shape } => {
                let session = way.session(server)?;
                let claim = Request::Claim { ticket, shape: shape.clone() };
                match session.call(&claim)? {
                    Reply::Object(object) => Ok(Handle::counted(session, object, shape)),
                    _ => Err(Error::unexpected()),
                }
            }
        }
    }

    /// Writes the reference: as a number into a managed object, as a ticket into a message.
    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.form() {
            Ok(form) => form.serialize(serializer),
            Err(error) => Err(ser::Error::custom(scope::fail(error))),
        }
    }

    /// Reads a reference to an object of a shape that `fits`.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        expected: &Shape,
        fits: impl FnOnce(&Shape) -> bool,
    ) -> Result<Arc<Handle>, D::Error> {
        let handle = Handle::from_form(Form::deserialize(deserializer)?);
        let checked = handle.and_then(|handle| {
            if fits(&handle.shape) {
                return Ok(handle);
            }
            Err(mismatch(expected, &handle.shape).into())
        });
        checked.map_err(|error| de::Error::custom(scope::fail(error)))
    }
}

thread_local! {
    /// The message being made: its number, and the session and the number that its end has there.
    static MESSAGE: Cell<(u64, u64, Token)> = const { Cell::new((0, 0, 0)) };
}

/// The server's number of the message being made, whose end is put into it by the first proxy.
fn message_of(session: &Session) -> Result<Option<Token>, Error> {
    let Route::Door(door) = session.route() else { return Ok(None) };
    let message = fd_table::message()?;
    let (number, of, token) = MESSAGE.get();
    if (number, of) == (message, session.number()) {
        return Ok(Some(token));
    }
    let token = token::random();
    let end = door::announce(door.as_fd(), token)?;
    fd_table::push(end.as_fd())?;
    MESSAGE.set((message, session.number(), token));
    Ok(Some(token))
}

fn mismatch(expected: &Shape, found: &Shape) -> Failure {
    Failure::Mismatch { expected: expected.name(), found: found.name() }
}
