//! Threads take turns with something, and none waits longer than its deadline.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use mp_sys::Deadline;

/// A mutex whose lock has a deadline, which std's has not.
///
/// Who has the turn holds no lock, only the value: so a receiver may sleep in the kernel for
/// hours while another thread's `try_recv` finds out at once that it is not its turn.
#[derive(Debug, Default)]
pub(crate) struct Turns<T> {
    state: Mutex<State<T>>,
    freed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// `None` while a thread has it.
    value: Option<T>,
    waiting: usize,
}

impl<T: Default> Default for State<T> {
    fn default() -> State<T> {
        State { value: Some(T::default()), waiting: 0 }
    }
}

impl<T> Turns<T> {
    /// Waits for the turn; `None` when the deadline passed.
    pub(crate) fn take(&self, deadline: Option<Deadline>) -> Option<Turn<'_, T>> {
        let mut state = self.lock();
        loop {
            if let Some(value) = state.value.take() {
                return Some(Turn { turns: self, value: Some(value) });
            }
            state.waiting += 1;
            state = match deadline {
                None => self.freed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.remaining();
                    let waited = self.freed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.waiting -= 1;
            if state.value.is_none() && deadline.is_some_and(Deadline::has_passed) {
                return None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn; the next thread has it when this is dropped.
pub(crate) struct Turn<'a, T> {
    turns: &'a Turns<T>,
    value: Option<T>,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.value = self.value.take();
        let waiting = state.waiting > 0;
        drop(state);
        if waiting {
            self.turns.freed.notify_one();
        }
    }
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("the value leaves only in drop")
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("the value leaves only in drop")
    }
}
