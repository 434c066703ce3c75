//! Starting a child: by fork, by spawn, or through the fork server.

use std::ffi::{CString, OsString};
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use mp_ipc::{Fd, Message};
use mp_sys::fork::{Fork, fork_single, thread_count};
use mp_sys::lifeline::{self, Lifeline};
use mp_sys::poll::{Interest, poll};
use mp_sys::signal::{self, Disposition, Legacy};
use mp_sys::spawn::{Program, Spawned};
use mp_sys::{Deadline, Errno, image, pidfd, socket, stdio};

use crate::child::{self, Call, Inheritance};
use crate::error::Error;
use crate::function::FnId;
use crate::identity::{self, Kinship};
use crate::order::{self, Order, Setup, Update};
use crate::panic::note_panics;
use crate::post::{self, Kind, Letter};
use crate::watch::{Newborn, Reaper, Watch};
use crate::{at_fork, family, forkserver, init, logging};

/// How long a child may take to say that it is there.
pub(crate) const START: Duration = Duration::from_secs(30);

const SIGCHLD: i32 = 17;
const SIGKILL: i32 = 9;

/// A start that is under way.
pub(crate) struct Errand {
    pub(crate) kinship: Kinship,
    pub(crate) lifeline: Option<(Lifeline, OwnedFd)>,
    pub(crate) setup: Setup,
    pub(crate) deadline: Deadline,
}

impl Errand {
    pub(crate) fn new(
        name: Option<String>,
        daemon: Option<bool>,
        setup: Setup,
        timeout: Duration,
    ) -> Result<Errand, Error> {
        let kinship = identity::next_child(name, daemon);
        let lifeline =
            if kinship.daemon { Some(lifeline::pair().map_err(Error::os("pipe2"))?) } else { None };
        Ok(Errand { kinship, lifeline, setup, deadline: Deadline::after(timeout) })
    }

    /// The errand that makes a fork server: it is nobody's numbered child.
    pub(crate) fn for_server() -> Result<Errand, Error> {
        let kinship = identity::server();
        let lifeline = Some(lifeline::pair().map_err(Error::os("pipe2"))?);
        let setup = Setup::default();
        Ok(Errand { kinship, lifeline, setup, deadline: Deadline::after(START) })
    }

    pub(crate) fn into_order(self, task: FnId, lifeline: Option<Fd>) -> Order {
        Order {
            key: *family::authkey(),
            task,
            kinship: self.kinship,
            logging: logging::present(),
            lifeline,
            update: Update::default(),
            setup: self.setup,
            hello: true,
        }
    }
}

/// Two ends of a packet socket, out of the way of the standard descriptors.
pub(crate) fn packet_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    let pair = socket::packet_pair().and_then(|(a, b)| Ok((stdio::above(a)?, stdio::above(b)?)));
    pair.map_err(Error::os("socketpair"))
}

/// Reader and writer of a pipe, out of the way of the standard descriptors.
pub(crate) fn pipe() -> Result<(PipeReader, OwnedFd), Error> {
    let pipe = std::io::pipe().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
    let pipe =
        pipe.and_then(|(r, w)| Ok((stdio::above(r.into())?.into(), stdio::above(w.into())?)));
    pipe.map_err(Error::os("pipe2"))
}

/// Runs this program again, as a child that calls `task`.
pub(crate) fn spawn(task: FnId, mut errand: Errand, arguments: &Message) -> Result<Newborn, Error> {
    let (ours, theirs) = packet_pair()?;
    let lifeline = errand.lifeline.take();
    let (lifeline, end) = lifeline.map_or((None, None), |(held, end)| (Some(held), Some(Fd(end))));
    let args = arguments_of(&errand.kinship.name);
    errand.kinship = errand.kinship.for_stranger().map_err(Error::os("pidfd_open"))?;
    let clear = std::mem::take(&mut errand.setup.env_clear);
    let changes = std::mem::take(&mut errand.setup.env);
    let mark = init::mark(theirs.as_fd()).ok_or(Error::NotInitialised)?;
    let env = environment(clear, changes, mark);
    let deadline = errand.deadline;
    let order = errand.into_order(task, end);
    order::send(ours.as_fd(), &order, arguments)?;
    let image = image::pin().map_err(Error::os("open /proc/self/exe"))?;
    let program = Program { image, args: &args, env: &env, keep: &[theirs.as_fd()] };
    let Spawned { pid, process } =
        mp_sys::spawn::spawn(&program).map_err(Error::os("clone and execveat"))?;
    drop((theirs, order));
    let newborn = Newborn { pid, process, socket: ours, reaper: Reaper::We, lifeline };
    await_hello(newborn, deadline)
}

/// The command line of this process, but for the name, which says what the child is.
fn arguments_of(name: &str) -> Vec<CString> {
    let mut own = std::env::args_os();
    let program = own.next().unwrap_or_default();
    let program = std::path::Path::new(&program).file_name().unwrap_or(&program).to_owned();
    let mut first = program;
    first.push(format!(" [{name}]"));
    [first].into_iter().chain(own).filter_map(|arg| CString::new(arg.as_bytes()).ok()).collect()
}

fn environment(
    clear: bool,
    changes: Vec<(OsString, Option<OsString>)>,
    mark: String,
) -> Vec<CString> {
    let own: Vec<_> = if clear { Vec::new() } else { std::env::vars_os().collect() };
    // Of several changes of one variable the last counts.
    let mut changed: Vec<(OsString, Option<OsString>)> =
        vec![(init::MARK.into(), Some(mark.into()))];
    for (name, value) in changes.into_iter().rev() {
        if !changed.iter().any(|(other, _)| *other == name) {
            changed.push((name, value));
        }
    }
    let is_kept = |name: &OsString| !changed.iter().any(|(other, _)| other == name);
    let kept: Vec<_> = own.into_iter().filter(|(name, _)| is_kept(name)).collect();
    let added = changed.into_iter().filter_map(|(name, value)| Some((name, value?)));
    kept.into_iter()
        .chain(added)
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.as_bytes()).ok()
        })
        .collect()
}

/// Waits until the child says that it is about to call the function.
pub(crate) fn await_hello(newborn: Newborn, deadline: Deadline) -> Result<Newborn, Error> {
    let mut closed = false;
    loop {
        let fds = [
            (newborn.process.as_fd(), Interest::Readable),
            (newborn.socket.as_fd(), Interest::Readable),
        ];
        let fds = if closed { &fds[..1] } else { &fds };
        let ready = poll(fds, Some(deadline)).map_err(Error::os("poll"))?;
        // Its end was looked at first: what it said before counts.
        let ended = ready[0];
        let letter = match post::try_recv(newborn.socket.as_fd()) {
            Ok(Some(Letter { kind: Kind::Hello, .. })) => return Ok(newborn),
            Ok(Some(letter)) => Some(letter),
            Ok(None) => {
                closed = true;
                None
            }
            Err(_) => None,
        };
        if letter.is_none() && !ended && ready.contains(&true) {
            continue;
        }
        let watch = Watch::new(newborn, String::new(), true);
        if letter.is_none() && !ended {
            // It has been killed with its whole start: nothing of it is left.
            let _ = watch.signal(SIGKILL);
            watch.wait_until(None);
            return Err(Error::StartTimedOut);
        }
        // A child that refuses ends at once.
        let status = watch.wait_until(None).unwrap_or(crate::ExitStatus::Unknown);
        return Err(letter.map_or(Error::DiedAtStart { status }, refusal));
    }
}

/// What a child says that does not begin.
fn refusal(letter: Letter) -> Error {
    let refusal: Option<order::Refusal> =
        if letter.kind == Kind::Refusal { mp_ipc::decode(letter.message).ok() } else { None };
    refusal.map_or(Error::Os { op: "recvmsg", errno: Errno::PROTO }, Error::from)
}

/// Copies this process; the copy makes `call`.
pub(crate) fn fork(
    mut errand: Errand,
    call: &mut Call<'_>,
    fork: &mut dyn FnMut() -> Result<Fork, Error>,
) -> Result<Newborn, Error> {
    let (ours, theirs) = packet_pair()?;
    let (lifeline, end) = errand.lifeline.take().map_or((None, None), |(a, b)| (Some(a), Some(b)));
    // Where the kernel or a handler may reap the child at once, it must not end before its pidfd
    // is open: it waits at the gate.
    let gate =
        if signal::disposition(SIGCHLD) == Disposition::Default { None } else { Some(pipe()?) };
    let hooks = at_fork::hooks();
    let hello = errand.setup.must_be_done() || !hooks.is_empty();
    let inheritance = Inheritance {
        socket: theirs,
        me: errand.kinship.of_copy().map_err(Error::os("pidfd_open"))?,
        lifeline: end,
        setup: errand.setup,
        signals: Legacy::of_this_thread(),
        hello,
        hooks,
        call,
    };
    // Done here, so that it need not be done in every child.
    let _ = stdio::null();
    note_panics();
    let has_more = child::has_socket() || forkserver::is_there();
    match fork()? {
        Fork::Child => {
            drop(ours);
            if let Some((mut wait, open)) = gate {
                drop(open);
                // The parent closes it, or is gone.
                let _ = wait.read(&mut [0]);
            }
            if has_more {
                child::forget_socket();
                forkserver::forget();
            }
            child::forked(inheritance)
        }
        Fork::Parent(pid) => {
            // The child's ends; what the child inherits else is kept until it has greeted.
            let Inheritance { socket, lifeline: end, me, setup, .. } = inheritance;
            drop((socket, end));
            let process =
                pidfd::open(pid).and_then(stdio::above).map_err(Error::os("pidfd_open"))?;
            drop(gate);
            let newborn = Newborn { pid, process, socket: ours, reaper: Reaper::We, lifeline };
            let started = if hello { await_hello(newborn, errand.deadline) } else { Ok(newborn) };
            drop((me, setup));
            started
        }
    }
}

/// How long a thread that has been joined may still be counted: `join` returns a little before the
/// kernel has done with the thread.
const LEAVING: Duration = Duration::from_millis(20);

/// `fork`, refused where there are other threads.
pub(crate) fn fork_alone() -> Result<Fork, Error> {
    // What is still in the buffer would be printed by both.
    let _ = std::io::stdout().flush();
    let patience = Deadline::after(LEAVING);
    loop {
        match fork_single() {
            Err(Errno::BUSY) if !patience.has_passed() => {
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(Errno::BUSY) => {
                let threads = thread_count().map_err(Error::os("stat /proc/self/task"))?;
                return Err(Error::MultiThreaded { threads });
            }
            forked => return forked.map_err(Error::os("fork")),
        }
    }
}
