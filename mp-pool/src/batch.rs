//! A batch: the tasks of one call, and the mailbox where their results arrive.

use std::cmp::Ordering;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Waker;

use mp_sys::Deadline;
use parking_lot::{Condvar, Mutex};

use crate::{Progress, TaskError};

/// The results of neighbouring items, as they came.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The index of the first item in the call.
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// How long they took together, in nanoseconds.
    pub(crate) nanos: u64,
    pub(crate) content: Content,
}

/// The order of the input.
impl Ord for Piece {
    fn cmp(&self, other: &Piece) -> Ordering {
        self.first.cmp(&other.first)
    }
}

impl PartialOrd for Piece {
    fn partial_cmp(&self, other: &Piece) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Piece) -> bool {
        self.first == other.first
    }
}

impl Eq for Piece {}

#[derive(Debug)]
pub(crate) enum Content {
    /// A row of items (`codec.rs`), with the descriptors that they name.
    Reply { bytes: Vec<u8>, fds: Vec<OwnedFd> },
    /// The same end for each of them.
    Failed(TaskError),
}

/// What is to happen when a batch is complete, outside of all locks.
pub(crate) enum Effect {
    Wake(Waker),
    /// To be run on the callback thread.
    Call(Box<dyn FnOnce() + Send>),
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effect::Wake(_) => "Wake",
            Effect::Call(_) => "Call",
        })
    }
}

/// Called with the state of a batch whenever results arrive.
pub(crate) type Hook = Arc<dyn Fn(Progress) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Batch {
    mail: Mutex<Mail>,
    news: Condvar,
    hook: Option<Hook>,
    /// How many items it will have, if that is known before they are entered.
    total: Option<u64>,
    /// Its tasks are taken by a closed pool, too: it has an [`Admission`](crate::inner::Admission).
    pub(crate) admitted: bool,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("mail", &self.mail).finish_non_exhaustive()
    }
}

/// What has come, and what has not.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// In order of arrival.
    pub(crate) pieces: Vec<Piece>,
    /// How many items are on their way.
    pub(crate) open: u64,
    /// How many items have come.
    pub(crate) done: u64,
    /// No more items will be entered.
    pub(crate) sealed: bool,
    watchers: Vec<Effect>,
}

impl Mail {
    /// Whether everything has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.sealed && self.open == 0
    }

    /// Whether there is something to take.
    pub(crate) fn has_pieces(&self) -> bool {
        !self.pieces.is_empty()
    }
}

impl Batch {
    pub(crate) fn new(hook: Option<Hook>) -> Batch {
        Batch { hook, ..Batch::default() }
    }

    /// A batch that is entered bit by bit, in a call that waits for its end.
    pub(crate) fn admitted(hook: Option<Hook>, total: Option<usize>) -> Batch {
        let total = total.map(|total| total as u64);
        Batch { hook, total, admitted: true, ..Batch::default() }
    }

    /// A batch of one item.
    pub(crate) fn single(hook: Option<Hook>) -> Batch {
        let mail = Mail { open: 1, sealed: true, ..Mail::default() };
        Batch { mail: Mutex::new(mail), hook, ..Batch::default() }
    }

    /// Enters items that are about to be submitted.
    pub(crate) fn expect(&self, items: u64) {
        self.mail.lock().open += items;
    }

    /// Says that all items have been entered.
    pub(crate) fn seal(&self, effects: &mut Vec<Effect>) {
        let mut mail = self.mail.lock();
        mail.sealed = true;
        self.announce(&mut mail, effects);
    }

    /// Delivers pieces.
    pub(crate) fn arrive(
        &self,
        pieces: impl IntoIterator<Item = Piece>,
        effects: &mut Vec<Effect>,
    ) {
        let mut mail = self.mail.lock();
        for piece in pieces {
            let count = u64::from(piece.count);
            mail.open = mail.open.saturating_sub(count);
            mail.done += count;
            mail.pieces.push(piece);
            if let Some(hook) = &self.hook {
                let hook = Arc::clone(hook);
                let total = self.total.or(mail.sealed.then_some(mail.done + mail.open));
                let progress = Progress { done: mail.done, total };
                effects.push(Effect::Call(Box::new(move || hook(progress))));
            }
        }
        self.announce(&mut mail, effects);
    }

    /// Replaces all that is on its way, and all from `first` on, by one failure.
    pub(crate) fn refuse(&self, first: u64, error: TaskError) {
        let mut mail = self.mail.lock();
        mail.open = 0;
        mail.pieces.retain(|piece| piece.first < first);
        mail.pieces.push(Piece { first, count: 1, nanos: 0, content: Content::Failed(error) });
    }

    fn announce(&self, mail: &mut Mail, effects: &mut Vec<Effect>) {
        if mail.is_complete() {
            effects.append(&mut mail.watchers);
        }
        self.news.notify_all();
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut Mail) -> R) -> R {
        look(&mut self.mail.lock())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.mail.lock().is_complete()
    }

    /// Waits for somebody else to deliver, until `wanted` holds; `false` when the deadline passed.
    pub(crate) fn wait(&self, wanted: impl Fn(&Mail) -> bool, deadline: Option<Deadline>) -> bool {
        let mut mail = self.mail.lock();
        loop {
            if wanted(&mail) {
                return true;
            }
            match deadline {
                None => self.news.wait(&mut mail),
                Some(deadline) if deadline.has_passed() => return false,
                Some(deadline) => {
                    self.news.wait_for(&mut mail, deadline.remaining());
                }
            }
        }
    }

    /// Has `effect` happen when everything has come. Gives it back if it has.
    pub(crate) fn watch(&self, effect: Effect) -> Option<Effect> {
        let mut mail = self.mail.lock();
        if mail.is_complete() {
            return Some(effect);
        }
        if let Effect::Wake(waker) = &effect {
            let known = |watcher: &Effect| matches!(watcher, Effect::Wake(w) if w.will_wake(waker));
            mail.watchers.retain(|watcher| !known(watcher));
        }
        mail.watchers.push(effect);
        None
    }
}
