//! Users' own types: what the server knows of them, and how their calls come in.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::mpsc;

use mp_process::catch_panic;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::crew::Crew;
use crate::later::{Later, News};
use crate::protocol::{Answer, Failure, Reply};
use crate::raw::{ConnId, Outcome, Step, Who};

/// A type whose objects live in the server and are asked by request.
///
/// What can be asked is an enum of the user's; there is no other way to reach the object, so what
/// has no request cannot be called. Register it with [`Builder::register`](crate::Builder), make
/// objects with [`Manager::create`](crate::Manager::create).
///
/// The requests of all clients come one after the other. They run on the thread that serves all
/// objects: a [`handle`](Service::handle) that takes long delays everybody, so say
/// [`SLOW`](Service::SLOW), and each object gets a thread of its own. A handler must not use a
/// proxy of the same manager unless its type is slow: it would wait for itself.
///
/// If a handler panics, its caller gets [`Error::Panicked`](crate::Error), and so does every
/// later one: as with a poisoned mutex, nobody knows what state the object is in.
///
/// Python: `BaseManager.register(typeid, callable, exposed=...)`.
///
/// # Examples
///
/// ```
/// use mp_manager::{CallError, Manager, Service};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// #[derive(Serialize, Deserialize)]
/// enum Ask { Add(u64), Value }
///
/// impl Service for Counter {
///     type Args = ();
///     type Request = Ask;
///     type Reply = u64;
///     type Error = String;
///
///     fn open((): ()) -> Result<Counter, String> {
///         Ok(Counter::default())
///     }
///
///     fn handle(&mut self, ask: Ask) -> Result<u64, String> {
///         match ask {
///             Ask::Add(more) => self.0 = self.0.checked_add(more).ok_or("too much")?,
///             Ask::Value => {}
///         }
///         Ok(self.0)
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// mp_process::init();
/// let manager = Manager::builder().register::<Counter>("counter").start()?;
/// let counter = manager.create::<Counter>("counter", &())?;
/// assert_eq!(counter.call(&Ask::Add(2))?, 2);
/// let refused = counter.call(&Ask::Add(u64::MAX));
/// assert!(matches!(refused, Err(CallError::Refused(why)) if why == "too much"));
/// assert_eq!(counter.call(&Ask::Value)?, 2);
/// # Ok(())
/// # }
/// ```
pub trait Service: Sized + Send + 'static {
    /// What an object is made from.
    type Args: Serialize + DeserializeOwned;
    /// What can be asked.
    type Request: Serialize + DeserializeOwned;
    /// What is answered.
    type Reply: Serialize + DeserializeOwned;
    /// What is answered instead.
    type Error: Serialize + DeserializeOwned;

    /// Whether a request can take long enough to matter to others.
    const SLOW: bool = false;

    /// Makes an object, in the server.
    ///
    /// # Errors
    ///
    /// Whatever the type says; the client gets it as [`CallError::Refused`](crate::CallError).
    fn open(args: Self::Args) -> Result<Self, Self::Error>;

    /// Answers one request, in the server.
    ///
    /// # Errors
    ///
    /// As [`open`](Service::open).
    fn handle(&mut self, request: Self::Request) -> Result<Self::Reply, Self::Error>;
}

/// The types that this server process makes, by name.
#[derive(Default)]
pub(crate) struct Desks {
    openers: HashMap<String, Opener>,
    later: Option<Later>,
}

#[derive(Clone, Copy)]
struct Opener {
    types: &'static str,
    open: fn(&[u8], Option<&Later>) -> Result<Desk, Failure>,
}

thread_local! {
    /// What [`install`] has put there for the server that is about to begin on this thread.
    static INSTALLED: RefCell<Vec<(String, Opener)>> = const { RefCell::new(Vec::new()) };
}

/// Names the type `S` in this process. It is a plain function so that it can be called in another
/// process: that is how types get into the server.
pub(crate) fn install<S: Service>(name: String) {
    let opener = Opener { types: type_name::<S>(), open: open::<S> };
    INSTALLED.with_borrow_mut(|installed| installed.push((name, opener)));
}

impl Desks {
    /// Takes what was installed.
    pub(crate) fn installed(later: Later) -> Desks {
        Desks { openers: INSTALLED.take().into_iter().collect(), later: Some(later) }
    }

    pub(crate) fn open(&self, name: &str, types: &str, args: &[u8]) -> Result<Desk, Failure> {
        let opener =
            self.openers.get(name).ok_or_else(|| Failure::Unregistered(name.to_owned()))?;
        if opener.types != types {
            return Err(Failure::Mismatch {
                expected: types.to_owned(),
                found: opener.types.to_owned(),
            });
        }
        (opener.open)(args, self.later.as_ref())
    }
}

impl Desks {
    /// A pool whose results come by the way that slow services take.
    pub(crate) fn hire(&self, workers: u64) -> Result<Crew, Failure> {
        let later = self.later.clone();
        Crew::hire(workers, later.ok_or_else(|| Failure::protocol("no pools here"))?)
    }
}

/// Where the requests to one object are handed in.
pub(crate) enum Desk {
    /// Answered at once.
    Here(Box<dyn Served>),
    /// Answered by a thread of the object's own, which ends when this is dropped.
    Thread(mpsc::Sender<Job>),
}

/// A request for a thread.
#[derive(Debug)]
pub(crate) struct Job {
    conn: ConnId,
    serial: u64,
    request: Vec<u8>,
}

/// An object of a type that only it knows.
pub(crate) trait Served: Send {
    fn call(&mut self, request: &[u8]) -> Answer;
}

impl Desk {
    pub(crate) fn call(&mut self, who: Who, serial: u64, request: Vec<u8>) -> Outcome {
        match self {
            Desk::Here(served) => served.call(&request).map(Step::Reply),
            Desk::Thread(jobs) => match jobs.send(Job { conn: who.conn, serial, request }) {
                Ok(()) => Ok(Step::Park(None)),
                Err(_) => Err(Failure::Panicked("the object's thread has ended".to_owned())),
            },
        }
    }
}

/// `None`: it has panicked.
struct Typed<S>(Option<S>);

/// The user's `drop` runs in the server, and is no reason for it to end.
impl<S> Drop for Typed<S> {
    fn drop(&mut self) {
        if let Err(panic) = catch_panic(|| drop(self.0.take())) {
            log::error!("dropping a service panicked: {panic}");
        }
    }
}

impl<S: Service> Served for Typed<S> {
    fn call(&mut self, request: &[u8]) -> Answer {
        let Some(mut service) = self.0.take() else {
            return Err(Failure::Panicked("an earlier request panicked".to_owned()));
        };
        let request = decode::<S::Request>(request);
        let done = catch_panic(|| {
            let answer = match request {
                Ok(request) => answer(service.handle(request)),
                Err(failure) => Err(failure),
            };
            (service, answer)
        });
        match done {
            Ok((service, answer)) => {
                self.0 = Some(service);
                answer
            }
            Err(panic) => Err(Failure::Panicked(panic.to_string())),
        }
    }
}

fn open<S: Service>(args: &[u8], later: Option<&Later>) -> Result<Desk, Failure> {
    let args = decode::<S::Args>(args)?;
    let opened = catch_panic(|| S::open(args));
    let service = match opened.map_err(|panic| Failure::Panicked(panic.to_string()))? {
        Ok(service) => service,
        Err(error) => return Err(Failure::NotOpened(encode(&error)?)),
    };
    let mut typed = Typed(Some(service));
    let later = match later {
        Some(later) if S::SLOW => later.clone(),
        _ => return Ok(Desk::Here(Box::new(typed))),
    };
    let (sender, jobs) = mpsc::channel::<Job>();
    let serve = move || {
        for Job { conn, serial, request } in jobs {
            let answer = typed.call(&request);
            if !later.tell(News::Answer { conn, serial, answer }) {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("mp-manager service".to_owned())
        .spawn(serve)
        .map_err(|error| Failure::Refused(format!("no thread could be started: {error}")))?;
    Ok(Desk::Thread(sender))
}

fn answer<R: Serialize, E: Serialize>(result: Result<R, E>) -> Answer {
    let (bytes, refused) = match result {
        Ok(reply) => (encode(&reply)?, false),
        Err(error) => (encode(&error)?, true),
    };
    Ok(Reply::Called { bytes, refused })
}

fn encode<T: Serialize>(value: &T) -> Result<ByteBuf, Failure> {
    let bytes = postcard::to_stdvec(value);
    bytes.map(ByteBuf::from).map_err(|error| Failure::Refused(format!("encoding it: {error}")))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    mp_ipc::decode_bytes(bytes).map_err(|error| Failure::Protocol(error.to_string()))
}

impl fmt::Debug for Desks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.openers.keys()).finish()
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Desk::Here(_) => "Desk::Here",
            Desk::Thread(_) => "Desk::Thread",
        })
    }
}
