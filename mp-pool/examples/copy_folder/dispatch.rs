//! The orders: handed out, ticked off, and those whose worker died handed out again.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::sync::mpsc::Receiver;

use rustix::fs::{AtFlags, statat, unlinkat};

use crate::copy::Tally;
use crate::draft::draft_name;
use crate::job::{Done, Job, Order, Piece, Tick};
use crate::large::Large;
use crate::plan::Step;
use crate::report::{Fault, Trouble};
use crate::tree::{Roots, join};

/// All orders that are not done.
#[derive(Debug)]
pub(crate) struct Dispatch<'a> {
    roots: &'a Roots,
    next: u64,
    flights: HashMap<u64, Flight>,
    pieces: VecDeque<(u64, Flight)>,
    larges: HashMap<u64, Large>,
    /// What was copied.
    pub(crate) tally: Tally,
    /// What was not.
    pub(crate) troubles: Vec<Trouble>,
}

/// An order at a worker, as it was given.
#[derive(Clone, Debug)]
enum Flight {
    Entries(Job),
    /// A part of the large file of this number.
    Piece(u64, Range<u64>),
}

impl<'a> Dispatch<'a> {
    pub(crate) fn new(roots: &'a Roots) -> Dispatch<'a> {
        Dispatch {
            roots,
            next: 0,
            flights: HashMap::new(),
            pieces: VecDeque::new(),
            larges: HashMap::new(),
            tally: Tally::default(),
            troubles: Vec::new(),
        }
    }

    /// The next order, from what the walk found; `None` when the walk has ended.
    pub(crate) fn order(&mut self, steps: &Receiver<Step>) -> Option<Order> {
        loop {
            if let Some((id, flight)) = self.pieces.pop_front() {
                if let Some(order) = self.launch(id, flight) {
                    return Some(order);
                }
                continue;
            }
            match steps.recv().ok()? {
                Step::Job(job) => {
                    let id = self.number();
                    return self.launch(id, Flight::Entries(Job { id, ..job }));
                }
                Step::Large(path) => self.begin(path),
                Step::Trouble(trouble) => self.troubles.push(trouble),
            }
        }
    }

    /// The orders that were given and not answered, once more.
    pub(crate) fn unanswered(&mut self) -> Vec<Order> {
        let flights = std::mem::take(&mut self.flights);
        flights
            .into_iter()
            .filter_map(|(id, flight)| {
                let flight = match flight {
                    Flight::Entries(job) => Flight::Entries(Job { again: true, ..job }),
                    piece => piece,
                };
                self.launch(id, flight)
            })
            .collect()
    }

    /// Takes in what a worker answers. A file that became whole by it is given back.
    pub(crate) fn done(&mut self, done: Done) -> Option<Tick> {
        let flight = self.flights.remove(&done.id)?;
        let failed = !done.troubles.is_empty();
        self.tally.files += done.tally.files;
        self.tally.bytes += done.tally.bytes;
        match flight {
            Flight::Entries(_) => {
                self.troubles.extend(done.troubles);
                None
            }
            Flight::Piece(large, _) => {
                // One word about a large file is enough.
                if !self.larges.get(&large).is_some_and(Large::is_torn) {
                    self.troubles.extend(done.troubles);
                }
                self.landed(large, failed)
            }
        }
    }

    /// Takes the drafts away of what was not answered; names it where there is a reason to.
    pub(crate) fn give_up(&mut self, why: Option<&str>) {
        self.pieces.clear();
        for large in std::mem::take(&mut self.larges).into_values() {
            let path = self.roots.source(large.path());
            self.troubles.extend(why.map(|why| Trouble::new(path, why)));
            large.discard(self.roots);
        }
        for flight in std::mem::take(&mut self.flights).into_values() {
            if let Flight::Entries(job) = flight {
                self.give_up_job(&job, why);
            }
        }
    }

    fn give_up_job(&mut self, job: &Job, why: Option<&str>) {
        for group in &job.groups {
            let Ok(folder) = self.roots.open_target(&group.folder) else { continue };
            let _ = unlinkat(&folder, draft_name(job.id), AtFlags::empty());
            for entry in &group.entries {
                if statat(&folder, entry.name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                    // What has its name is whole.
                    self.tally.files += 1;
                } else {
                    let path = self.roots.source(&join(&group.folder, &entry.name));
                    self.troubles.extend(why.map(|why| Trouble::new(path, why)));
                }
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn launch(&mut self, id: u64, flight: Flight) -> Option<Order> {
        let order = match &flight {
            Flight::Entries(job) => Order::Entries(job.clone()),
            Flight::Piece(large, range) => match self.piece(id, *large, range) {
                Ok(piece) => Order::Piece(piece),
                Err(fault) => {
                    let path = self.larges[large].path().to_owned();
                    self.fault(path, fault);
                    self.landed(*large, true);
                    return None;
                }
            },
        };
        self.flights.insert(id, flight);
        Some(order)
    }

    fn begin(&mut self, path: OsString) {
        let number = self.number();
        match Large::open(self.roots, path.clone(), number) {
            Err(fault) => self.fault(path, fault),
            Ok(large) => {
                for range in large.ranges() {
                    let id = self.number();
                    self.pieces.push_back((id, Flight::Piece(number, range)));
                }
                self.larges.insert(number, large);
            }
        }
    }

    fn piece(&self, id: u64, large: u64, range: &Range<u64>) -> Result<Piece, Fault> {
        let large = &self.larges[&large];
        let (from, to) = large.share()?;
        let path = self.roots.source(large.path()).into();
        Ok(Piece { id, path, from, to, start: range.start, end: range.end })
    }

    /// A piece of a large file is copied, or never will be.
    fn landed(&mut self, number: u64, failed: bool) -> Option<Tick> {
        if !self.larges.get_mut(&number)?.landed(failed) {
            return None;
        }
        let large = self.larges.remove(&number)?;
        let path = large.path().to_owned();
        match large.finish(self.roots) {
            Ok(true) => {
                self.tally.files += 1;
                Some(Tick { id: number, tally: Tally { files: 1, bytes: 0 } })
            }
            Ok(false) => None, // It was named when the piece failed.
            Err(fault) => {
                self.fault(path, fault);
                None
            }
        }
    }

    fn fault(&mut self, path: impl AsRef<OsStr>, fault: Fault) {
        self.troubles.push(Trouble::new(self.roots.source(path.as_ref()), fault));
    }
}
