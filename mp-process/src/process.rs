//! A process before it is started.

use std::ffi::OsString;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mp_ipc::Message;
use mp_sys::fork::Fork;
use mp_sys::image;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, TaskError};
use crate::function::Task;
use crate::handle::Child;
use crate::order::{Limit, Setup, Stdio};
use crate::start::{self, Errand};
use crate::watch::Watch;
use crate::{catch_panic, children, forkserver, init};

/// How a child comes into being. The child behaves the same; what it costs and what it copies
/// differs.
///
/// | | starts from | its function | costs |
/// | --- | --- | --- | --- |
/// | `ForkServer` | a small copy of this program with one thread | any `fn` | a fork of that |
/// | `Spawn` | this program, executed again | any `fn` | an execution |
/// | `Fork` | this process, with all its memory | closures too | a fork of this |
///
/// Python: the start methods of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartMethod {
    /// A copy of this process. Refused where it has more than one thread.
    Fork,
    /// The program, executed again.
    Spawn,
    /// A copy of a small process that is made for this. The default.
    ForkServer,
}

/// A function and what it is to be called with, to be run by a process of its own.
///
/// Python: `multiprocessing.Process(target, args, name, daemon)`.
///
/// # Examples
///
/// ```
/// use mp_process::{Error, Process};
///
/// fn divide((a, b): (u32, u32)) -> u32 { a / b }
///
/// fn main() -> Result<(), Error> {
///     mp_process::init();
///     let children = [(6, 3), (1, 0)].map(|args| Process::new(divide, args).start().unwrap());
///     assert_eq!(children[0].join()?, 2);
///     let Err(Error::Panicked(panic)) = children[1].join() else { panic!() };
///     assert_eq!(panic.message, "attempt to divide by zero");
///     Ok(())
/// }
/// ```
///
/// A closure that captures something is refused by the compiler, unless it is given to
/// [`Process::forked`]:
///
/// ```compile_fail
/// let factor = 3;
/// mp_process::Process::new(|x: u32| x * factor, 14);
/// ```
#[must_use = "a process does nothing until it is started"]
pub struct Process<R> {
    body: Body,
    name: Option<String>,
    daemon: Option<bool>,
    method: Option<StartMethod>,
    setup: Setup,
    timeout: Duration,
    value: PhantomData<fn() -> R>,
}

type Encode = Box<dyn FnOnce() -> Result<Message, mp_ipc::Error>>;

enum Body {
    Task(Task, Encode),
    /// Called once; it is a `FnMut` so that the copy need not free the box.
    Closure(Box<dyn FnMut() -> Result<Message, TaskError>>),
}

impl<R: Serialize + DeserializeOwned> Process<R> {
    /// A process that calls `function` with `args`: one argument, or several as a tuple.
    ///
    /// The function is any plain one, or a closure that captures nothing. The arguments are
    /// encoded when the process is started, whatever the method, and handles in them (queues,
    /// locks, files as [`mp_ipc::Fd`]) lead to the same object in the child.
    pub fn new<A>(function: fn(A) -> R, args: A) -> Process<R>
    where
        A: Serialize + DeserializeOwned + 'static,
    {
        let encode = Box::new(move || mp_ipc::encode(&args));
        Process::with(Body::Task(Task::new(function), encode))
    }

    /// A process that calls `function`, which takes no argument.
    pub fn call(function: fn() -> R) -> Process<R> {
        Process::with(Body::Task(Task::nullary(function), Box::new(|| mp_ipc::encode(&()))))
    }

    /// A process that calls a closure, with all that it captures: a copy of this process, so the
    /// method is [`StartMethod::Fork`] and can be no other.
    ///
    /// # Examples
    ///
    /// ```
    /// let text = String::from("as it was at the start");
    /// let child = mp_process::Process::forked(move || text.len()).start()?;
    /// assert_eq!(child.join()?, 22);
    /// # Ok::<(), mp_process::Error>(())
    /// ```
    pub fn forked(closure: impl FnOnce() -> R + 'static) -> Process<R> {
        let mut closure = Some(closure);
        let call = move || {
            let call = closure.take().ok_or_else(|| TaskError::Value("it is gone".into()))?;
            let value = catch_panic(call).map_err(TaskError::Panicked)?;
            mp_ipc::encode(&value).map_err(|error| TaskError::Value(error.to_string()))
        };
        Process::with(Body::Closure(Box::new(call)))
    }

    fn with(body: Body) -> Process<R> {
        let setup =
            Setup { stdio: [Stdio::Null, Stdio::Inherit, Stdio::Inherit], ..Setup::default() };
        Process {
            body,
            name: None,
            daemon: None,
            method: None,
            setup,
            timeout: start::START,
            value: PhantomData,
        }
    }

    /// Names the process. By default it is `Process-1`, and its second child `Process-1:2`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether the process ends with this one: by `SIGTERM` when this one ends normally, and by
    /// the kernel's hand, at once, however else it ends. Its own daemonic children go with it.
    ///
    /// By default a process is daemonic if the one that starts it is. Daemonic processes may have
    /// children.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// How the process is made; by default [`StartMethod::ForkServer`].
    pub fn method(mut self, method: StartMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets an environment variable in the child.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.setup.env.push((name.into(), Some(value.into())));
        self
    }

    /// Removes an environment variable in the child.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.setup.env.push((name.into(), None));
        self
    }

    /// The child's environment has only what is set by [`env`](Process::env) after this.
    pub fn env_clear(mut self) -> Self {
        self.setup.env.clear();
        self.setup.env_clear = true;
        self
    }

    /// The child's working directory; by default that of this process.
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.setup.current_dir = Some(dir.into());
        self
    }

    /// The child's standard input; by default `/dev/null`, as in Python.
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.setup.stdio[0] = stdio.into();
        self
    }

    /// The child's standard output; by default that of this process.
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.setup.stdio[1] = stdio.into();
        self
    }

    /// The child's standard error; by default that of this process.
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.setup.stdio[2] = stdio.into();
        self
    }

    /// The processors on which the child may run; by default those of the calling thread.
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.setup.affinity = Some(cpus.into_iter().collect());
        self
    }

    /// Limits what the child may use up; `None` is "without limit".
    pub fn limit(mut self, limit: Limit, value: impl Into<Option<u64>>) -> Self {
        self.setup.limits.push((limit, value.into()));
        self
    }

    /// The child ignores `SIGINT`, so that after Ctrl-C it is this process that decides. By
    /// default `SIGINT` ends a child, silently.
    pub fn ignore_interrupt(mut self) -> Self {
        self.setup.ignore_interrupt = true;
        self
    }

    /// How long the child may take until it is about to call the function; by default 30 s. A
    /// child that takes longer is killed.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts the process.
    ///
    /// # Blocking
    ///
    /// Waits until the child has been made (under `Fork` and `ForkServer`), or until it is about to
    /// call the function (under `Spawn`, and wherever something that the child is given can
    /// fail), at most for the [`start_timeout`](Process::start_timeout). If the child dies before
    /// that, it *reports* how. If the fork server dies, it *recovers*: another one is made.
    ///
    /// # Errors
    ///
    /// [`Error::NotInitialised`], [`Error::RunByLoader`], [`Error::MultiThreaded`],
    /// [`Error::NeedsFork`] before anything has been made; [`Error::DiedAtStart`], [`Error::StartTimedOut`], [`Error::Function`],
    /// [`Error::Setup`] when the child did not come to call the function, and is no more;
    /// [`Error::Preload`] when the fork server could not be prepared; [`Error::Os`].
    pub fn start(self) -> Result<Child<R>, Error> {
        self.start_by(&mut start::fork_alone)
    }

    fn chosen_method(&self) -> StartMethod {
        self.method.unwrap_or(match self.body {
            Body::Closure(_) => StartMethod::Fork,
            Body::Task(..) => StartMethod::ForkServer,
        })
    }

    pub(crate) fn start_by(
        self,
        fork: &mut dyn FnMut() -> Result<Fork, Error>,
    ) -> Result<Child<R>, Error> {
        let method = self.chosen_method();
        if method != StartMethod::Fork && init::entry().is_none() {
            return Err(Error::NotInitialised);
        }
        if method != StartMethod::Fork && image::is_loader() {
            return Err(Error::RunByLoader);
        }
        if method == StartMethod::Fork {
            // A copy that had to make its own key would be a stranger.
            crate::authkey();
        }
        let Process { body, name, daemon, setup, timeout, .. } = self;
        let body = match body {
            Body::Task(task, encode) => Ok((task, encode().map_err(Error::Arguments)?)),
            Body::Closure(_) if method != StartMethod::Fork => return Err(Error::NeedsFork),
            Body::Closure(closure) => Err(closure),
        };
        let errand = Errand::new(name, daemon, setup, timeout)?;
        let (name, daemon) = (errand.kinship.name.clone(), errand.kinship.daemon);
        let newborn = match (method, body) {
            (StartMethod::Spawn, Ok((task, args))) => start::spawn(task.id()?, errand, &args),
            (StartMethod::ForkServer, Ok((task, args))) => {
                forkserver::start(&task.id()?, errand, &args)
            }
            (_, Ok((task, args))) => {
                let mut args = Some(args);
                let mut call = || {
                    let result = task.call(args.take().unwrap_or_default());
                    let is_err = result.as_ref().is_ok_and(|value| task.is_err(value));
                    (result, is_err)
                };
                start::fork(errand, &mut call, fork)
            }
            (_, Err(mut closure)) => {
                let mut call = || {
                    let result = closure();
                    let is_err = Task::is_err_of::<R>(&result);
                    (result, is_err)
                };
                start::fork(errand, &mut call, fork)
            }
        }?;
        let watch = Arc::new(Watch::new(newborn, name, daemon));
        children::add(Arc::clone(&watch));
        Ok(Child::new(watch))
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .field("method", &self.method)
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}
