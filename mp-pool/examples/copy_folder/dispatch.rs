//! The orders: handed out, ticked off, and those whose worker died handed out again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::mpsc::Receiver;

use rustix::fs::{AtFlags, statat, unlinkat};

use crate::copy::Tally;
use crate::draft::draft_name;
use crate::job::{Done, Job, LargeFile, Order, Tick};
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
    /// The large file of the order's number.
    Large,
}

impl<'a> Dispatch<'a> {
    pub(crate) fn new(roots: &'a Roots) -> Dispatch<'a> {
        Dispatch {
            roots,
            next: 0,
            flights: HashMap::new(),
            larges: HashMap::new(),
            tally: Tally::default(),
            troubles: Vec::new(),
        }
    }

    /// The next order, from what the walk found; `None` when the walk has ended.
    pub(crate) fn order(&mut self, steps: &Receiver<Step>) -> Option<Order> {
        loop {
            match steps.recv().ok()? {
                Step::Job(job) => {
                    let id = self.number();
                    return self.launch(id, Flight::Entries(Job { id, ..job }));
                }
                Step::Large(path) => {
                    let order = self.begin(path);
                    if order.is_some() {
                        return order;
                    }
                }
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
                    Flight::Large => Flight::Large,
                };
                self.launch(id, flight)
            })
            .collect()
    }

    /// Takes in what a worker answers. A file that became whole by it is given back.
    pub(crate) fn done(&mut self, done: Done) -> Option<Tick> {
        let flight = self.flights.remove(&done.id)?;
        self.tally.files += done.tally.files;
        self.tally.bytes += done.tally.bytes;
        let whole = done.troubles.is_empty().then_some(done.tally.bytes);
        self.troubles.extend(done.troubles);
        match flight {
            Flight::Entries(_) => None,
            Flight::Large => self.landed(done.id, whole),
        }
    }

    /// Takes the drafts away of what was not answered; names it where there is a reason to.
    pub(crate) fn give_up(&mut self, why: Option<&str>) {
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
            Flight::Large => match self.large(id) {
                Ok(file) => Order::Large(file),
                Err(fault) => {
                    let path = self.larges[&id].path().to_owned();
                    self.fault(path, fault);
                    self.landed(id, None);
                    return None;
                }
            },
        };
        self.flights.insert(id, flight);
        Some(order)
    }

    fn begin(&mut self, path: OsString) -> Option<Order> {
        let id = self.number();
        match Large::open(self.roots, path.clone(), id) {
            Err(fault) => {
                self.fault(path, fault);
                None
            }
            Ok(large) => {
                self.larges.insert(id, large);
                self.launch(id, Flight::Large)
            }
        }
    }

    fn large(&self, id: u64) -> Result<LargeFile, Fault> {
        let large = &self.larges[&id];
        let (from, to) = large.share()?;
        let path = self.roots.source(large.path()).into();
        Ok(LargeFile { id, path, from, to, size: large.size() })
    }

    /// A large file is copied, so many bytes, or torn and never will be.
    fn landed(&mut self, id: u64, whole: Option<u64>) -> Option<Tick> {
        let large = self.larges.remove(&id)?;
        let Some(bytes) = whole else {
            large.discard(self.roots);
            return None;
        };
        let path = large.path().to_owned();
        match large.finish(self.roots) {
            Ok(()) => {
                self.tally.files += 1;
                Some(Tick { id, tally: Tally { files: 1, bytes } })
            }
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
