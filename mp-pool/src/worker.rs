//! What a worker does, from its first breath to its last.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use mp_ipc::Fd;
use mp_sys::Deadline;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::bell::Bell;
use crate::function::{Runner, resolve};
use crate::job::{Job, begin_body};
use crate::lane::{Lane, READY};
use crate::local;
use crate::sys::Region;
use crate::worker_end::{Claimed, WorkerEnd};

/// What the pool tells a worker beside its lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) lane: Region,
    pub(crate) bell: Region,
    pub(crate) bell_wire: Fd,
    pub(crate) wire: Fd,
    pub(crate) index: u32,
    /// The worker ends after a task that leaves it larger than this many bytes.
    pub(crate) memory: Option<u64>,
    pub(crate) init: Option<Init>,
}

/// The initialiser's call, encoded as a task's body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Init {
    body: Vec<u8>,
    fds: Vec<Fd>,
}

impl Init {
    pub(crate) fn new(function: &[u8], row: &[u8], fds: Vec<OwnedFd>) -> Init {
        let mut body = Vec::new();
        begin_body(function, &mut body);
        body.extend_from_slice(row);
        Init { body, fds: fds.into_iter().map(Fd).collect() }
    }

    /// The same call for one more worker.
    pub(crate) fn share(&self) -> Result<Init, Error> {
        let fds = self.fds.iter().map(|fd| fd.0.try_clone().map(Fd)).collect::<Result<_, _>>();
        let fds = fds.map_err(Error::io("sharing the initialiser's argument"))?;
        Ok(Init { body: self.body.clone(), fds })
    }
}

/// The number of the initialiser among tasks.
pub(crate) const INIT: u64 = 0;

/// The life of a worker process.
pub(crate) fn process(setup: Setup) {
    let memory = setup.memory;
    work(setup, || memory.is_some_and(|max| local::resident() > max));
}

/// Works until the pool wants no more, or it `has_outgrown` what it may take.
pub(crate) fn work(setup: Setup, has_outgrown: impl Fn() -> bool) {
    let Setup { lane, bell, bell_wire, wire, index, init, .. } = setup;
    // The pool made both; were they not what they should be, it would hear of our end.
    let (Ok(lane), Ok(bell)) = (Lane::over(lane), Bell::over(bell, bell_wire.0)) else { return };
    let mut end = WorkerEnd::new(lane, wire.0, bell);
    let mut runners = Runners::default();
    local::enter(end.lane(), index);
    if let Some(Init { body, fds }) = init {
        let since = Deadline::now().as_nanos();
        let fds = fds.into_iter().map(|fd| fd.0).collect();
        let claimed = Claimed { id: INIT, extra: 1, since, fds };
        let mut job = Job::new(end, claimed, body, Vec::new());
        runners.run(&mut job);
        end = job.into_parts().0;
        if !local::is_initialised() {
            return local::leave();
        }
    }
    end.set_state(READY);
    let (mut body, mut scratch) = (Vec::new(), Vec::new());
    while let Some(claimed) = end.next(&mut body) {
        local::begin(claimed.id);
        let mut job = Job::new(end, claimed, body, scratch);
        runners.run(&mut job);
        (end, body, scratch) = job.into_parts();
        local::end();
        if has_outgrown() {
            break;
        }
    }
    local::leave();
}

/// The functions that this worker has met, by name, and the last one again.
#[derive(Default)]
struct Runners {
    last: Option<(Vec<u8>, Runner)>,
    known: HashMap<Vec<u8>, Runner>,
}

impl Runners {
    /// Finds the job's function and calls it.
    fn run(&mut self, job: &mut Job) {
        let name = job.function();
        let runner = match &self.last {
            Some((last, runner)) if last == name => runner.clone(),
            _ => match self.look_up(name) {
                Ok(runner) => runner,
                Err(reason) => return job.refuse(&format!("function: {reason}")),
            },
        };
        runner(job);
    }

    fn look_up(&mut self, name: &[u8]) -> Result<Runner, String> {
        let runner = match self.known.get(name) {
            Some(runner) => runner.clone(),
            None => {
                let runner = resolve(name)?;
                self.known.insert(name.to_vec(), runner.clone());
                runner
            }
        };
        self.last = Some((name.to_vec(), runner.clone()));
        Ok(runner)
    }
}
