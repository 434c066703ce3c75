//! The thread that runs callbacks, so that a slow one delays no result.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use mp_process::catch_panic_quietly;
use parking_lot::Mutex;

type Call = Box<dyn FnOnce() + Send>;

/// Runs callbacks one after the other, in the order in which their results came.
///
/// The thread, `mp-pool callbacks`, begins with the first callback and ends with the pool.
#[derive(Debug)]
pub(crate) struct Callbacks {
    thread: Mutex<Option<(Sender<Call>, JoinHandle<()>)>>,
}

impl Callbacks {
    pub(crate) fn new() -> Callbacks {
        Callbacks { thread: Mutex::new(None) }
    }

    pub(crate) fn run(&self, call: Call) {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let (sender, calls) = channel::<Call>();
            let body = move || calls.into_iter().for_each(run_one);
            match std::thread::Builder::new().name("mp-pool callbacks".into()).spawn(body) {
                Ok(handle) => *thread = Some((sender, handle)),
                Err(error) => {
                    log::error!(target: "mp_pool", "no thread for callbacks: {error}");
                    drop(thread);
                    return run_one(call);
                }
            }
        }
        if let Some((sender, _)) = &*thread {
            // The receiver lives until the sender is dropped.
            let _ = sender.send(call);
        }
    }

    /// Waits until all callbacks have run.
    pub(crate) fn join(&self) {
        let Some((sender, handle)) = self.thread.lock().take() else { return };
        drop(sender);
        if handle.thread().id() != std::thread::current().id() {
            let _ = handle.join();
        }
    }
}

fn run_one(call: Call) {
    if let Err(panic) = catch_panic_quietly(call) {
        log::error!(target: "mp_pool", "a callback failed: {panic}");
    }
}
