//! A worker: it keeps what every order needs, and tells how far it is.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use mp_ipc::Queue;
use rustix::fs::Mode;
use rustix::process::umask;

use crate::contents::{BUFFER, Contents};
use crate::copy::{Tally, copy};
use crate::job::{Done, LargeFile, Order, Tick};
use crate::report::Trouble;
use crate::tree::Roots;

const TELL_EVERY: Duration = Duration::from_millis(50);

struct Worker {
    roots: Roots,
    ticks: Queue<Tick>,
    buffer: Vec<u8>,
}

/// Runs once in each worker, before its first order.
pub(crate) fn prepare((roots, ticks): (Roots, Queue<Tick>)) {
    // The modes of the copies are those of the originals, whatever the user's mask is.
    umask(Mode::empty());
    mp_pool::keep(Worker { roots, ticks, buffer: vec![0; BUFFER] });
}

/// Carries one order out.
pub(crate) fn carry_out(order: Order) -> Done {
    mp_pool::with_kept(|worker: &mut Worker| match order {
        Order::Entries(job) => {
            let mut teller = Teller::new(&worker.ticks, job.id);
            let (tally, troubles) =
                copy(&worker.roots, &job, &mut worker.buffer, &mut |tally| teller.tell(tally));
            teller.end(tally);
            Done { id: job.id, tally, troubles }
        }
        Order::Large(file) => worker.large(&file),
    })
    .expect("a worker is prepared before its first order")
}

impl Worker {
    fn large(&mut self, file: &LargeFile) -> Done {
        let mut teller = Teller::new(&self.ticks, file.id);
        let mut tally = Tally::default();
        let mut moved = |bytes| {
            tally.bytes += bytes;
            teller.tell(tally);
        };
        let (from, to) = (file.from.0.as_fd(), file.to.0.as_fd());
        let mut contents = Contents { from, to, buffer: &mut self.buffer, moved: &mut moved };
        let troubles = match contents.sparse(0..file.size) {
            Ok(()) => Vec::new(),
            Err(fault) => vec![Trouble::new((&file.path).into(), fault)],
        };
        teller.end(tally);
        Done { id: file.id, tally, troubles }
    }
}

struct Teller<'a> {
    ticks: &'a Queue<Tick>,
    id: u64,
    last: Instant,
}

impl Teller<'_> {
    fn new(ticks: &Queue<Tick>, id: u64) -> Teller<'_> {
        Teller { ticks, id, last: Instant::now() }
    }

    /// Feeds the progress bar now and then.
    fn tell(&mut self, tally: Tally) {
        if self.last.elapsed() >= TELL_EVERY {
            self.last = Instant::now();
            // A full queue: somebody will tell more later.
            let _ = self.ticks.try_put(Tick { id: self.id, tally });
        }
    }

    fn end(self, tally: Tally) {
        // It fails when the copy was given up: nobody looks any more.
        let _ = self.ticks.put(Tick { id: self.id, tally });
    }
}
