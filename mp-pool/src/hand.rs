//! A hand: what does a worker's work, a process or a thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use mp_ipc::Fd;
use mp_process::{Child, ExitStatus, Process, StartMethod};
use mp_sys::sched::set_affinity;
use mp_sys::socket;

use crate::Error;
use crate::bell::Bell;
use crate::lane::Lane;
use crate::pool_end::PoolEnd;
use crate::settings::{Backend, Settings};
use crate::worker::{self, Init, Setup};

/// A running worker.
#[derive(Debug)]
pub(crate) enum Hand {
    Process(Child<()>),
    /// At its end when the thread is.
    Thread(OwnedFd),
}

impl AsFd for Hand {
    /// Readable once the worker has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Hand::Process(child) => child.as_fd(),
            Hand::Thread(end) => end.as_fd(),
        }
    }
}

impl Hand {
    /// Starts worker number `index`.
    ///
    /// Waits for the process to say hello; if it dies instead, *reports* that.
    pub(crate) fn start(
        settings: &Settings,
        index: usize,
        bell: &Bell,
        first: bool,
    ) -> Result<(Arc<Hand>, PoolEnd), Error> {
        let lane = Lane::create(settings.lane_bytes)?;
        let (ours, theirs) =
            socket::packet_pair().map_err(Error::os("making a worker's socket"))?;
        let bell_wire = bell.wire().try_clone_to_owned().map_err(Error::io("sharing the bell"))?;
        let setup = Setup {
            lane: lane.region.clone(),
            bell: bell.region().clone(),
            bell_wire: Fd(bell_wire),
            wire: Fd(theirs),
            index: index as u32,
            memory: settings.memory_per_worker,
            init: settings.init.as_ref().map(Init::share).transpose()?,
        };
        let hand = match settings.backend {
            Backend::Threads => start_thread(index, settings.cpus_of(index), setup)?,
            // The pool's own thread rules out a second generation of plain copies.
            Backend::Processes(Some(StartMethod::Fork)) if !first => {
                start_process(settings, None, index, setup)?
            }
            Backend::Processes(method) => start_process(settings, method, index, setup)?,
        };
        Ok((Arc::new(hand), PoolEnd::new(lane, ours)))
    }

    /// The process id; 0 for a thread.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Hand::Process(child) => child.pid() as u32,
            Hand::Thread(_) => 0,
        }
    }

    /// Ends the worker, whatever it does. `false` if that cannot be done: a thread can only be
    /// left alone.
    pub(crate) fn kill(&self) -> bool {
        match self {
            // It cannot fail on a child of ours that has not been reaped.
            Hand::Process(child) => child.kill().is_ok() || child.status().is_none(),
            Hand::Thread(_) => false,
        }
    }

    /// Asks the worker's process to end; `false` if there is none.
    pub(crate) fn terminate(&self) -> bool {
        match self {
            Hand::Process(child) => child.terminate().is_ok(),
            Hand::Thread(_) => false,
        }
    }

    /// How it ended, once it has.
    pub(crate) fn status(&self) -> ExitStatus {
        match self {
            Hand::Process(child) => child.status().unwrap_or(ExitStatus::Unknown),
            Hand::Thread(_) => ExitStatus::Exited(0),
        }
    }
}

fn start_process(
    settings: &Settings,
    method: Option<StartMethod>,
    index: usize,
    setup: Setup,
) -> Result<Hand, Error> {
    let mut process = Process::new(worker::process, setup)
        .name(format!("PoolWorker-{}", index + 1))
        .daemon(true)
        .ignore_interrupt();
    if let Some(method) = method {
        process = process.method(method);
    }
    let cpus = settings.cpus_of(index);
    if !cpus.is_empty() {
        process = process.affinity(cpus);
    }
    process.start().map(Hand::Process).map_err(Error::Start)
}

fn start_thread(index: usize, cpus: Vec<usize>, setup: Setup) -> Result<Hand, Error> {
    let (ours, theirs) = socket::stream_pair().map_err(Error::os("making a worker's socket"))?;
    let body = move || {
        let _until_the_end = theirs;
        if !cpus.is_empty() {
            // As with a process: CPUs that are not there pin it nowhere.
            let _ = set_affinity(&cpus);
        }
        worker::work(setup, || false);
    };
    let thread = std::thread::Builder::new().name(format!("mp-pool worker {index}")).spawn(body);
    thread.map_err(Error::io("starting a worker's thread"))?;
    Ok(Hand::Thread(ours))
}
