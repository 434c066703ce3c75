//! A client process and its manager: connections, and which objects it refers to.
//!
//! A session has one connection that lasts as long as it does, the anchor, over which dropped
//! references are told, and one for each thread that makes calls. A forked child begins a session
//! of its own when it first needs one, with the references that it has inherited.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use mp_ipc::{Address, Key};
use mp_sys::socket::SendFlags;
use parking_lot::Mutex;

use crate::link::{Link, Welcome, gone};
use crate::protocol::{ObjectId, Reply, Request, Token};
use crate::{Error, door};

/// How the server is reached.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// By one of its family.
    Door(Arc<OwnedFd>),
    /// By whoever knows the key.
    Gate(Address, Key),
}

impl Route {
    fn open(&self, anchor: bool) -> Result<OwnedFd, Error> {
        match self {
            Route::Door(door) => door::knock(door.as_fd(), anchor),
            Route::Gate(address, key) => Ok(mp_ipc::connect_wire(address, Some(key), None)?.into()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Session {
    /// Tells it from every other of this process.
    number: u64,
    server: u128,
    route: Route,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The process that this is the session of.
    pid: u32,
    anchor: Link,
    token: Token,
    refs: HashMap<ObjectId, u64>,
}

/// The sessions of this process: proxies of one server share one.
static SESSIONS: Mutex<Vec<Weak<Session>>> = Mutex::new(Vec::new());

struct Cached {
    session: Weak<Session>,
    number: u64,
    link: Link,
}

thread_local! {
    /// This thread's connections.
    static LINKS: RefCell<Vec<Cached>> = const { RefCell::new(Vec::new()) };
}

impl Session {
    /// A session with the server that is reached like this.
    pub(crate) fn open(route: Route) -> Result<Arc<Session>, Error> {
        static LAST: AtomicU64 = AtomicU64::new(1);
        let (anchor, Welcome { server, token }) = Link::hello(route.open(true)?, None)?;
        let pid = anchor.pid();
        let state = Mutex::new(State { pid, anchor, token, refs: HashMap::new() });
        // Relaxed: only that no two are equal matters.
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(Session { number, server, route, state });
        let mut sessions = SESSIONS.lock();
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(&session));
        mp_process::at_fork(join_anew);
        Ok(session)
    }

    /// The session of this process with this server, opened by `route` if there is none.
    pub(crate) fn with(
        server: u128,
        route: impl FnOnce() -> Result<Route, Error>,
    ) -> Result<Arc<Session>, Error> {
        let found = SESSIONS
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .find(|session| session.server == server);
        let session = match found {
            Some(session) => session,
            None => Session::open(route()?)?,
        };
        // At the same address another server may have begun.
        if session.server == server { Ok(session) } else { Err(Error::Disconnected) }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn server(&self) -> u128 {
        self.server
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    /// A request and its reply, on this thread's connection.
    pub(crate) fn call(self: &Arc<Session>, request: &Request) -> Result<Reply, Error> {
        self.with_link(|link| link.call(request))
    }

    /// Uses this thread's connection.
    pub(crate) fn with_link<R>(
        self: &Arc<Session>,
        call: impl FnOnce(&mut Link) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let pid = std::process::id();
        // It is taken out for the time of the call: what the call calls finds another.
        let cached = LINKS.try_with(|links| {
            let mut links = links.borrow_mut();
            let at = links.iter().position(|cached| cached.number == self.number)?;
            Some(links.swap_remove(at))
        });
        let mut link = match cached {
            Ok(Some(Cached { link, .. })) if link.pid() == pid => link,
            _ => self.connect()?,
        };
        let result = call(&mut link);
        if !result.as_ref().is_err_and(Error::is_fatal) {
            let cached = Cached { session: Arc::downgrade(self), number: self.number, link };
            // A thread that is ending keeps nothing.
            let _ = LINKS.try_with(|links| links.borrow_mut().push(cached));
        }
        result
    }

    /// A request and its reply on the anchor: it comes after all that this process has dropped.
    pub(crate) fn call_in_order(&self, request: &Request) -> Result<Reply, Error> {
        self.own()?;
        self.state.lock().anchor.call(request)
    }

    /// One reference more, which the server has counted already.
    pub(crate) fn count(&self, object: ObjectId) {
        *self.state.lock().refs.entry(object).or_default() += 1;
    }

    /// One reference less. Never waits.
    pub(crate) fn release(&self, object: ObjectId) {
        let state = &mut *self.state.lock();
        if let Some(count) = state.refs.get_mut(&object) {
            *count -= 1;
            if *count == 0 {
                state.refs.remove(&object);
            }
        }
        // In a forked child that has no session of its own, nobody counts for it.
        if state.pid == std::process::id() {
            state.tell(&Request::Release { object, count: 1 });
        }
    }

    /// One more connection, for this thread.
    fn connect(&self) -> Result<Link, Error> {
        // The entries of sessions that are over.
        let _ = LINKS.try_with(|links| {
            links.borrow_mut().retain(|cached| cached.session.strong_count() > 0);
        });
        let token = self.own()?;
        let (link, welcome) = self.reach(Some(token))?;
        if welcome.server == self.server { Ok(link) } else { Err(Error::Disconnected) }
    }

    /// A connection to the server that was there before: as an anchor, or with its token.
    fn reach(&self, token: Option<Token>) -> Result<(Link, Welcome), Error> {
        let fd = self.route.open(token.is_none()).map_err(lost)?;
        Link::hello(fd, token).map_err(lost)
    }

    /// Makes sure that the session is this process's own; its token.
    fn own(&self) -> Result<Token, Error> {
        self.own_as(&mut self.state.lock())
    }

    fn own_as(&self, state: &mut State) -> Result<Token, Error> {
        if state.pid == std::process::id() {
            return Ok(state.token);
        }
        let (mut anchor, welcome) = self.reach(None)?;
        if welcome.server != self.server {
            return Err(Error::Disconnected);
        }
        let refs = state.refs.iter().map(|(object, count)| (*object, *count)).collect();
        anchor.call(&Request::Adopt { refs })?;
        state.pid = anchor.pid();
        state.token = welcome.token;
        // The parent's anchor is closed here, and goes on there.
        state.anchor = anchor;
        Ok(state.token)
    }
}

/// In a forked child: has the server count what the child has inherited, while its parent still
/// waits for it to begin. What cannot be done here is done, or reported, at the first use.
fn join_anew() {
    let Some(sessions) = SESSIONS.try_lock() else { return };
    for session in sessions.iter().filter_map(Weak::upgrade) {
        if let Some(mut state) = session.state.try_lock()
            && !state.refs.is_empty()
        {
            let _ = session.own_as(&mut state);
        }
    }
}

impl State {
    /// Sends what has no reply. If the server does not read just then, it goes with the next; if
    /// there is no server, nothing is to be told.
    fn tell(&mut self, request: &Request) {
        if self.anchor.push(request).is_ok() {
            let _ = self.anchor.flush(SendFlags::DONTWAIT);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if state.pid == std::process::id() {
            state.tell(&Request::Goodbye);
        }
    }
}

/// A server that is not there any more is one that is gone.
fn lost(error: Error) -> Error {
    match error {
        Error::Gone | Error::Ipc(mp_ipc::Error::Closed) => Error::Disconnected,
        Error::Ipc(mp_ipc::Error::Os { op, errno }) => gone(op, errno),
        other => other,
    }
}
