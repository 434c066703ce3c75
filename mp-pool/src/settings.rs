//! What a pool is made with.

use std::time::Duration;

use mp_process::StartMethod;

use crate::work::Limits;
use crate::worker::Init;

/// What the workers are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    /// Processes, made by this method or the default one.
    Processes(Option<StartMethod>),
    /// Threads of this process.
    Threads,
}

impl Default for Backend {
    fn default() -> Backend {
        Backend::Processes(None)
    }
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) backend: Backend,
    pub(crate) init: Option<Init>,
    pub(crate) tasks_per_worker: Option<u64>,
    pub(crate) memory_per_worker: Option<u64>,
    pub(crate) limits: Limits,
    pub(crate) window: Option<usize>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) cpus: Vec<Vec<usize>>,
    pub(crate) restarts: Option<(u32, Duration)>,
    pub(crate) lane_bytes: usize,
}

impl Settings {
    /// The CPUs that worker number `index` is pinned to; none: all.
    pub(crate) fn cpus_of(&self, index: usize) -> Vec<usize> {
        match self.cpus.len() {
            0 => Vec::new(),
            sets => self.cpus[index % sets].clone(),
        }
    }
}
