//! The loop: bytes in, requests to the world, bytes out. One thread, one wait.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;

use mp_ipc::{Address, Key, Message};
use mp_sys::epoll::{Epoll, Ready, Watch};
use mp_sys::socket::{self, RecvFlags};
use mp_sys::{Deadline, Errno};

use crate::Error;
use crate::door::{self, Visit};
use crate::gate::Gate;
use crate::later::{Ear, Later, News};
use crate::peer::Peer;
use crate::protocol::{Answer, Failure, HELLO_MAX, Kind, Reply, Request, Shape, Token};
use crate::raw::{ConnId, SessionId};
use crate::service::Desks;
use crate::token;
use crate::world::{Effects, World};

/// The numbers under which the kernel knows what is not a connection.
const DOOR: u64 = 0;
const NEWS: u64 = 1;
/// A process: the number of its session and this bit.
const PROCESS: u64 = 1 << 63;

/// A message: its number here and this bit.
const MESSAGE: u64 = 1 << 62;

/// How many descriptors are looked at in one round.
const AT_ONCE: usize = 64;

/// How many requests of one connection are looked at before the others have their turn.
const TURN: usize = 64;

const SCRATCH: usize = 128 << 10;

#[derive(Debug)]
pub(crate) struct Server {
    epoll: Epoll,
    door: OwnedFd,
    news: mpsc::Receiver<News>,
    bell: OwnedFd,
    later: Later,
    world: World,
    peers: HashMap<ConnId, Peer>,
    /// The processes behind sessions: their end is the end of the session.
    processes: HashMap<SessionId, OwnedFd>,
    /// The process behind a connection that has not said hello.
    announced: HashMap<ConnId, OwnedFd>,
    /// The ends of messages with proxies in them.
    messages: HashMap<u64, (Token, OwnedFd)>,
    last_message: u64,
    last_conn: ConnId,
    request_max: usize,
    /// Connections with requests that wait for their turn.
    runnable: VecDeque<ConnId>,
    /// Connections that have asked how many objects there are, and are answered when all has been
    /// looked at that was there to be looked at by then: deaths before the question count.
    counting: Vec<ConnId>,
    /// Connections with something to send.
    dirty: Vec<ConnId>,
    doomed: Vec<ConnId>,
    gates: Vec<Gate>,
    scratch: Vec<u8>,
    over: bool,
}

impl Server {
    /// A server whose family comes in by `door`.
    pub(crate) fn new(
        door: OwnedFd,
        desks: Desks,
        later: Later,
        (news, bell): Ear,
        request_max: usize,
    ) -> Result<Server, Error> {
        let epoll = Epoll::new().map_err(Error::os("epoll_create1"))?;
        let readable = Watch { readable: true, writable: false };
        epoll.add(&door, DOOR, readable).map_err(Error::os("epoll_ctl"))?;
        epoll.add(&bell, NEWS, readable).map_err(Error::os("epoll_ctl"))?;
        Ok(Server {
            epoll,
            door,
            news,
            bell,
            later,
            world: World::new(token::random(), request_max, desks),
            peers: HashMap::new(),
            processes: HashMap::new(),
            announced: HashMap::new(),
            messages: HashMap::new(),
            last_message: 0,
            last_conn: NEWS,
            request_max,
            runnable: VecDeque::new(),
            counting: Vec::new(),
            dirty: Vec::new(),
            doomed: Vec::new(),
            gates: Vec::new(),
            scratch: vec![0; SCRATCH],
            over: false,
        })
    }

    /// Serves until somebody of the family says that it is over.
    pub(crate) fn run(&mut self) -> Result<(), Error> {
        while !self.over {
            self.round(None)?;
        }
        Ok(())
    }

    /// Waits until there is something to do, or until then, and does it.
    pub(crate) fn round(&mut self, until: Option<Deadline>) -> Result<(), Error> {
        let deadline = match self.runnable.is_empty() && self.counting.is_empty() {
            true => self.world.next_deadline().map(|next| next.or_earlier(until)).or(until),
            false => Some(Deadline::now()),
        };
        let ready = self.epoll.wait(AT_ONCE, deadline).map_err(Error::os("epoll_wait"))?;
        let all = ready.len() < AT_ONCE;
        let counting = if all { std::mem::take(&mut self.counting) } else { Vec::new() };
        for ready in ready {
            self.attend(ready);
            self.send_all();
        }
        if self.world.next_deadline().is_some_and(Deadline::has_passed) {
            let effects = self.world.expire();
            self.apply(effects);
        }
        for conn in counting {
            let effects = self.world.request(conn, Request::Count);
            self.apply(effects);
            self.runnable.push_back(conn);
        }
        for _ in 0..self.runnable.len() {
            if let Some(conn) = self.runnable.pop_front() {
                self.serve(conn);
            }
        }
        self.send_all();
        Ok(())
    }

    /// Whether there is a connection.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_used(&self) -> bool {
        !self.peers.is_empty() || self.world.is_used()
    }

    fn attend(&mut self, ready: Ready) {
        match ready.token {
            DOOR => self.let_in(),
            NEWS => self.hear(),
            message if message & MESSAGE != 0 => {
                if let Some((token, end)) = self.messages.remove(&message) {
                    let _ = self.epoll.remove(&end);
                    let effects = self.world.end_message(token);
                    self.apply(effects);
                }
            }
            process if process & PROCESS != 0 => self.end_session(process & !PROCESS),
            conn => {
                let Some(peer) = self.peers.get_mut(&conn) else { return };
                if ready.ended && !peer.watch.readable {
                    // It is not even being read, and it is gone.
                    return self.doomed.push(conn);
                }
                if ready.readable && peer.fill(&mut self.scratch).is_err() {
                    return self.doomed.push(conn);
                }
                if ready.writable {
                    self.dirty.push(conn);
                }
                self.serve(conn);
            }
        }
    }

    /// Does the requests of one connection that are there, for the length of a turn.
    fn serve(&mut self, conn: ConnId) {
        for _ in 0..TURN {
            if self.world.is_parked(conn) || self.counting.contains(&conn) {
                break;
            }
            let known = self.world.is_known(conn);
            let max = if known { self.request_max } else { HELLO_MAX };
            let Some(peer) = self.peers.get_mut(&conn) else { return };
            if peer.is_behind() {
                break;
            }
            match peer.request(max) {
                Ok(Some(request)) if known => self.request(conn, request),
                Ok(Some(request)) => self.hello(conn, request),
                Ok(None) => {
                    if peer.has_ended() {
                        self.doomed.push(conn);
                    }
                    self.dirty.push(conn);
                    return;
                }
                Err(failure) => {
                    // What follows cannot be told apart any more.
                    self.answer(conn, &Err(failure));
                    self.send_all();
                    return self.doomed.push(conn);
                }
            }
        }
        let Some(peer) = self.peers.get(&conn) else { return };
        if self.world.is_parked(conn) || self.counting.contains(&conn) {
            if peer.has_ended() {
                self.doomed.push(conn);
            }
        } else if !peer.is_behind() && (peer.has_request() || peer.has_ended()) {
            self.runnable.push_back(conn);
        }
        self.dirty.push(conn);
    }

    fn hello(&mut self, conn: ConnId, request: Request) {
        let (answer, session) = self.world.hello(conn, request, token::random());
        self.answer(conn, &answer);
        match (session, self.announced.remove(&conn)) {
            (Some(session), Some(process)) if !self.processes.contains_key(&session) => {
                let readable = Watch { readable: true, writable: false };
                if self.epoll.add(&process, session | PROCESS, readable).is_ok() {
                    self.processes.insert(session, process);
                }
            }
            (None, _) => {
                self.send_all();
                self.doomed.push(conn);
            }
            _ => {}
        }
    }

    fn request(&mut self, conn: ConnId, request: Request) {
        let local = self.peers.get(&conn).is_some_and(|peer| peer.local);
        match request {
            Request::Serve { address, key } if local => {
                let key = mp_ipc::decode(Message::from_bytes(key.into_vec()));
                let opened = key.map_err(Error::from).and_then(|key| self.open_gate(&address, key));
                let refused = |error: Error| Failure::Refused(error.to_string());
                self.answer(conn, &opened.map(Reply::Address).map_err(refused));
            }
            Request::Shutdown if local => {
                self.over = true;
                self.answer(conn, &Ok(Reply::Unit));
            }
            Request::Serve { .. }
            | Request::Shutdown
            | Request::Submit { .. }
            | Request::Create { shape: Shape { kind: Kind::Pool, .. }, .. }
                if !local =>
            {
                let failure = "only the family of the server may do this";
                self.answer(conn, &Err(Failure::Refused(failure.to_owned())));
            }
            Request::Count => self.counting.push(conn),
            request => {
                let effects = self.world.request(conn, request);
                self.apply(effects);
            }
        }
    }

    /// Listens for strangers.
    pub(crate) fn open_gate(&mut self, address: &Address, key: Key) -> Result<Address, Error> {
        let gate = Gate::open(address, key, self.later.clone())?;
        let address = gate.address().clone();
        self.gates.push(gate);
        Ok(address)
    }

    fn apply(&mut self, effects: Effects) {
        for (conn, answer) in effects.answers {
            self.answer(conn, &answer);
            if self.peers.get(&conn).is_some_and(|peer| peer.has_request()) {
                self.runnable.push_back(conn);
            }
        }
        self.doomed.extend(effects.close);
        for session in effects.ended {
            if let Some(process) = self.processes.remove(&session) {
                let _ = self.epoll.remove(&process);
            }
        }
    }

    fn answer(&mut self, conn: ConnId, answer: &Answer) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.answer(answer);
            self.dirty.push(conn);
        }
    }

    /// Sends what goes, closes what is over, and tells the kernel what to tell next.
    fn send_all(&mut self) {
        while !self.dirty.is_empty() || !self.doomed.is_empty() {
            for conn in std::mem::take(&mut self.dirty) {
                let Some(peer) = self.peers.get_mut(&conn) else { continue };
                let was_behind = peer.is_behind();
                if peer.flush().is_err() {
                    self.doomed.push(conn);
                    continue;
                }
                if was_behind && !peer.is_behind() {
                    self.runnable.push_back(conn);
                }
                let wanted = peer.wanted();
                if wanted != peer.watch {
                    peer.watch = wanted;
                    if self.epoll.change(&peer.fd, conn, wanted).is_err() {
                        self.doomed.push(conn);
                    }
                }
            }
            for conn in std::mem::take(&mut self.doomed) {
                self.close(conn);
            }
        }
    }

    fn close(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.remove(&conn) else { return };
        let _ = self.epoll.remove(&peer.fd);
        self.announced.remove(&conn);
        let effects = self.world.leave(conn);
        self.apply(effects);
    }

    /// The process behind a session has ended, whoever has duplicates of its sockets.
    fn end_session(&mut self, session: SessionId) {
        let effects = self.world.end_session(session);
        self.apply(effects);
    }

    /// Takes in the connections that the family has sent through the door.
    fn let_in(&mut self) {
        for _ in 0..TURN {
            match door::receive(self.door.as_fd()) {
                Visit::Socket(socket, process) => self.adopt(socket, process, true),
                Visit::Message(message, end) => self.watch_message(message, end),
                Visit::Lost => {}
                Visit::Nobody => return,
                Visit::Shut => {
                    // The last of the family is gone: only strangers could still have a use.
                    self.over |= self.gates.is_empty();
                    let _ = self.epoll.remove(&self.door);
                    return;
                }
            }
        }
    }

    pub(crate) fn adopt(&mut self, socket: OwnedFd, process: Option<OwnedFd>, local: bool) {
        let conn = self.last_conn + 1;
        let peer = Peer::new(socket, local, self.request_max);
        if self.epoll.add(&peer.fd, conn, peer.watch).is_ok() {
            self.last_conn = conn;
            self.peers.insert(conn, peer);
            self.announced.extend(process.map(|process| (conn, process)));
        }
    }

    /// Learns from the kernel when the other end, which is in the message, is closed.
    fn watch_message(&mut self, message: Token, end: OwnedFd) {
        self.last_message += 1;
        let number = self.last_message | MESSAGE;
        let readable = Watch { readable: true, writable: false };
        if self.epoll.add(&end, number, readable).is_ok() {
            self.world.begin_message(message);
            self.messages.insert(number, (message, end));
        }
    }

    /// Takes what other threads of this process have to say.
    fn hear(&mut self) {
        let mut byte = [0; 64];
        let _: Result<_, Errno> =
            socket::recv(&self.bell, &mut byte, &mut Vec::new(), RecvFlags::DONTWAIT);
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Answer { conn, serial, answer } => {
                    let effects = self.world.finish(conn, serial, answer);
                    self.apply(effects);
                }
                News::Done { outcome, results } => {
                    let effects = self.world.done(outcome, results);
                    self.apply(effects);
                }
                News::Stranger(socket) => self.adopt(socket, None, false),
            }
        }
    }
}
