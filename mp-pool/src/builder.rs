//! Making a pool to measure.

mod limits;

use std::sync::Arc;
use std::time::Duration;

use mp_process::{StartMethod, cpu_count};
use mp_sys::fd_table;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bell::bell;
use crate::core::Core;
use crate::inner::Inner;
use crate::settings::{Backend, Settings};
use crate::work::Limits;
use crate::worker::Init;
use crate::{Error, Initialised, Pool, codec, collector, function};

/// What a pool is to be like. Made by [`Pool::builder`].
///
/// # Examples
///
/// ```
/// use mp_pool::{Error, Pool, keep, with_kept};
///
/// # fn load(path: String) { keep(path.len()); }
/// # fn ask(question: usize) -> usize { question + with_kept(|model: &mut usize| *model).unwrap() }
/// // fn load(path: String) { keep(Model::from(path)) }       once in each worker
/// // fn ask(question: usize) -> usize { with_kept(...) }     as often as you like
///
/// let pool = Pool::builder()
///     .workers(2)
/// #   .threads()
///     .initializer(load, "model".to_string())
///     .tasks_per_worker(1_000)
///     .start()?;
/// assert_eq!(pool.apply(ask, 37)?, 42);
/// assert!(matches!(Pool::builder().workers(0).start(), Err(Error::Invalid(_))));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `start`"]
pub struct Builder {
    workers: Option<usize>,
    backend: Backend,
    init: Option<Result<Init, Error>>,
    tasks_per_worker: Option<u64>,
    memory_per_worker: Option<u64>,
    limits: Limits,
    window: Option<usize>,
    idle_timeout: Option<Duration>,
    cpus: Vec<Vec<usize>>,
    restarts: Option<(u32, Duration)>,
    lane_bytes: Option<usize>,
}

impl Builder {
    /// How many workers; as many as this process may use CPUs if it is not said.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = mp_pool::Pool::builder().workers(3).threads().start()?;
    /// assert_eq!(pool.workers(), 3);
    /// let none = mp_pool::Pool::builder().workers(0).start();
    /// assert!(matches!(none, Err(mp_pool::Error::Invalid(_))));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `processes`, `max_workers`.
    #[doc(alias = "processes")]
    #[doc(alias = "max_workers")]
    pub fn workers(mut self, workers: usize) -> Builder {
        self.workers = Some(workers);
        self
    }

    /// Makes the workers threads of this process: for small work, and for tests.
    ///
    /// The calls are the same, and so is what they do, with these differences: tasks share the
    /// process's memory, `exit` and `abort` end the whole program, and a task that is cancelled or
    /// runs too long is left behind, running, while another thread takes its worker's place.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = mp_pool::Pool::builder().workers(1).threads().start()?;
    /// assert_eq!(pool.apply(|()| std::process::id(), ())?, std::process::id());
    /// assert_eq!(pool.stats().workers[0].pid, None);
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `multiprocessing.pool.ThreadPool`.
    #[doc(alias = "ThreadPool")]
    pub fn threads(mut self) -> Builder {
        self.backend = Backend::Threads;
        self
    }

    /// How the workers' processes are made; by the fork server if it is not said.
    ///
    /// With [`StartMethod::Fork`] the first workers are copies of this process, which must have no
    /// other thread at that moment. The pool itself has one, so a worker that comes later is made
    /// by the fork server.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Pool, StartMethod};
    ///
    /// fn main() -> Result<(), mp_pool::Error> {
    ///     mp_process::init();
    ///     let pool = Pool::builder().workers(1).method(StartMethod::Spawn).start()?;
    ///     assert_ne!(pool.apply(|()| std::process::id(), ())?, std::process::id());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Python: `context`, `mp_context`.
    #[doc(alias = "mp_context")]
    pub fn method(mut self, method: StartMethod) -> Builder {
        self.backend = Backend::Processes(Some(method));
        self
    }

    /// Has each worker call `function` before its first task.
    ///
    /// What it makes for the tasks to come it can [`keep`](crate::keep). If it panics, or returns
    /// an `Err`, the worker is replaced; if that happens more often than there are workers, and
    /// two times more, with none coming to life, the pool gives up and every task fails with
    /// [`TaskError::Broken`](crate::TaskError::Broken).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, Pool, TaskError, keep, with_kept};
    ///
    /// let pool = Pool::builder().workers(1).threads().initializer(|n: u32| drop(keep(n)), 7).start()?;
    /// assert_eq!(pool.apply(|()| with_kept(|n: &mut u32| *n), ())?, Some(7));
    ///
    /// fn fails(_: u32) -> Result<(), String> {
    ///     Err("no model".to_string())
    /// }
    /// let pool = Pool::builder().workers(1).threads().initializer(fails, 7).start()?;
    /// let error = pool.apply(|()| (), ()).unwrap_err();
    /// assert!(error.to_string().contains("no model"), "{error}");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: `initializer`, `initargs`.
    #[doc(alias = "initargs")]
    pub fn initializer<A, O>(mut self, function: fn(A) -> O, args: A) -> Builder
    where
        A: Serialize + DeserializeOwned + 'static,
        O: Initialised + 'static,
    {
        let mut row = Vec::new();
        let (pushed, fds) = fd_table::collect(|| codec::push(&mut row, &args));
        self.init = Some(match (pushed, function::name_init(function)) {
            (Ok(()), Ok(name)) => Ok(Init::new(&name, &row, fds)),
            (Err(reason), _) => Err(Error::Encode(reason)),
            (_, Err(error)) => Err(error),
        });
        self
    }

    /// How far `imap` reads ahead ([`With::window`](crate::With::window)).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// let pool = mp_pool::Pool::builder().workers(2).threads().window(4).start()?;
    /// let read = Cell::new(0);
    /// let mut results = pool.imap(|x: u64| x + 1, (0..).inspect(|_| read.set(read.get() + 1)));
    /// assert_eq!(results.next().unwrap()?, 1);
    /// assert!(read.get() <= 5, "one was returned, four may be on their way");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn window(mut self, items: usize) -> Builder {
        self.window = Some(items);
        self
    }

    /// Pins worker 0 to the first set of CPUs, worker 1 to the second, and round again.
    ///
    /// # Examples
    ///
    /// ```
    /// // Worker 0 on the first, worker 1 on the second; worker 2 would be on the first again.
    /// let pool = mp_pool::Pool::builder().workers(2).threads().cpus(vec![vec![0], vec![1]]).start()?;
    /// assert_eq!(pool.map(|x: u64| x + 1, 0..3)?, [1, 2, 3], "also where there is but one CPU");
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    ///
    /// Python: mpire's `cpu_ids`.
    #[doc(alias = "cpu_ids")]
    pub fn cpus(mut self, sets: Vec<Vec<usize>>) -> Builder {
        self.cpus = sets;
        self
    }

    /// The size of each of a worker's two rings; a power of two from 4 KiB on. 256 KiB, or 32 KiB
    /// from 33 workers on, if it is not said. Longer messages go through in pieces.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, Pool};
    ///
    /// let pool = Pool::builder().workers(1).threads().lane_bytes(4096).start()?;
    /// let long = "long".repeat(10_000);
    /// assert_eq!(pool.apply(|text: String| text.len(), long)?, 40_000, "in ten pieces or so");
    /// assert!(matches!(Pool::builder().lane_bytes(5_000).start(), Err(Error::Invalid(_))));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn lane_bytes(mut self, bytes: usize) -> Builder {
        self.lane_bytes = Some(bytes);
        self
    }

    /// Starts the pool.
    ///
    /// # Blocking
    ///
    /// Waits until the workers' processes run, not until they are initialised. If one dies before
    /// that, it *reports* this.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a setting that makes no sense, [`Error::Encode`] if the
    /// initialiser's argument cannot be encoded, [`Error::Start`] or [`Error::Os`] if a worker
    /// cannot be started; those that were are ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pool::{Error, Pool};
    ///
    /// let pool = Pool::builder().workers(1).threads().start()?;
    /// assert_eq!(pool.apply(|x: u8| x + 1, 1)?, 2);
    /// assert!(matches!(Pool::builder().tasks_per_worker(0).start(), Err(Error::Invalid(_))));
    /// # Ok::<(), mp_pool::Error>(())
    /// ```
    pub fn start(self) -> Result<Pool, Error> {
        let workers = self.workers.unwrap_or_else(cpu_count);
        let lane_bytes =
            self.lane_bytes.unwrap_or(if workers <= 32 { 256 << 10 } else { 32 << 10 });
        if workers == 0 {
            return Err(Error::Invalid("a pool has at least one worker"));
        }
        if self.tasks_per_worker == Some(0) {
            return Err(Error::Invalid("a worker does at least one task"));
        }
        if self.window == Some(0) {
            return Err(Error::Invalid("a window has room for at least one item"));
        }
        if !lane_bytes.is_power_of_two() || lane_bytes < 4096 {
            return Err(Error::Invalid("a lane's size is a power of two, 4096 or more"));
        }
        let settings = Settings {
            workers,
            backend: self.backend,
            init: self.init.transpose()?,
            tasks_per_worker: self.tasks_per_worker,
            memory_per_worker: self.memory_per_worker,
            limits: self.limits,
            window: self.window,
            idle_timeout: self.idle_timeout,
            cpus: self.cpus,
            restarts: self.restarts,
            lane_bytes,
        };
        let (bell, ear) = bell()?;
        let inner = Arc::new(Inner::new(Core::new(&settings), ear, bell, settings));
        // Before the collector's thread, so that a process without threads can still be forked.
        let hired = inner.hire(true);
        if hired.is_err() {
            inner.end(Duration::ZERO);
        }
        let shared = Arc::clone(&inner);
        let thread = std::thread::Builder::new()
            .name("mp-pool collector".into())
            .spawn(move || collector::run(&shared));
        let thread = thread.map_err(Error::io("starting a pool's thread"))?;
        *inner.collector.lock() = Some(thread);
        let pool = Pool { inner };
        hired.map(|()| pool)
    }
}
