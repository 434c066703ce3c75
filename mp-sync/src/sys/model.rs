//! The kernel as a model: a futex queue made of loom's mutex and condvar, and robust lists that a
//! thread's death walks. Deadlines never pass, so what needs one to go on is found as a deadlock.
#![expect(unsafe_code, reason = "the signatures of the real calls")]

use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;

use loom::sync::{Condvar, Mutex};
use mp_sys::robust::{OWNER_DIED, TID_MASK, WAITERS};
use mp_sys::{Deadline, Errno};

pub(crate) use std::hint::spin_loop;

pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
pub(crate) use mp_sys::pthread::{Held, Place};

/// Who sleeps: a ticket for each call, with each address it sleeps on.
#[derive(Default)]
struct Queue {
    sleepers: Vec<(usize, u32)>,
    tickets: u32,
    threads: u32,
}

loom::lazy_static! {
    static ref QUEUE: Mutex<Queue> = Mutex::new(Queue::default());
    static ref WOKEN: Condvar = Condvar::new();
}

loom::thread_local! {
    static ME: RefCell<Me> = RefCell::new(Me::default());
    static STEPS_TO_LIVE: Cell<u32> = Cell::new(u32::MAX);
}

#[derive(Default)]
struct Me {
    tid: u32,
    held: Vec<Node>,
    pending: Option<Node>,
}

/// A lock word. In the model it is shared by reference count, so that a list may point at it.
#[derive(Clone)]
pub(crate) struct Node(std::sync::Arc<AtomicU32>);

impl Node {
    pub(crate) fn new() -> Node {
        Node(std::sync::Arc::new(AtomicU32::new(0)))
    }

    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.0
    }

    fn is(&self, other: &Node) -> bool {
        std::sync::Arc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct List {
    tid: u32,
}

pub(crate) fn list() -> Result<List, Errno> {
    let tid = ME.with(|me| me.borrow().tid);
    if tid != 0 {
        return Ok(List { tid });
    }
    let mut queue = QUEUE.lock().unwrap();
    queue.threads += 1;
    ME.with(|me| me.borrow_mut().tid = queue.threads);
    Ok(List { tid: queue.threads })
}

pub(crate) fn known_list() -> Option<List> {
    list().ok()
}

pub(crate) fn tid() -> u32 {
    list().map_or(0, List::tid)
}

pub(crate) fn spins() -> u32 {
    0
}

impl List {
    pub(crate) fn tid(self) -> u32 {
        self.tid
    }

    pub(crate) fn held(self) -> u32 {
        0
    }

    pub(crate) fn announce(self, node: &Node) {
        step();
        ME.with(|me| me.borrow_mut().pending = Some(node.clone()));
    }

    pub(crate) fn is_announced(self, node: &Node) -> bool {
        ME.with(|me| me.borrow().pending.as_ref().is_some_and(|pending| pending.is(node)))
    }

    pub(crate) fn retract(self) {
        step();
        ME.with(|me| me.borrow_mut().pending = None);
    }

    /// As in the kernel's world, but nothing can go wrong with memory here.
    pub(crate) unsafe fn link(self, node: &Node) {
        step();
        ME.with(|me| me.borrow_mut().held.push(node.clone()));
    }

    /// As `link`.
    pub(crate) unsafe fn unlink(self, node: &Node) {
        step();
        ME.with(|me| me.borrow_mut().held.retain(|held| !held.is(node)));
    }
}

pub(crate) fn wait(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
) -> Result<(), Errno> {
    wait_any(&[(word, expected)], deadline)
}

pub(crate) fn wait_any(words: &[(&AtomicU32, u32)], _: Option<Deadline>) -> Result<(), Errno> {
    step();
    let mut queue = QUEUE.lock().unwrap();
    if words.iter().any(|(word, expected)| word.load(Ordering::SeqCst) != *expected) {
        return Ok(());
    }
    queue.tickets += 1;
    let ticket = queue.tickets;
    queue.sleepers.extend(words.iter().map(|(word, _)| (address(word), ticket)));
    while queue.sleepers.iter().any(|sleeper| sleeper.1 == ticket) {
        queue = WOKEN.wait(queue).unwrap();
    }
    drop(queue);
    step(); // Woken, and killed before it could act.
    Ok(())
}

pub(crate) fn wake(word: &AtomicU32, count: u32) -> usize {
    step();
    wake_locked(&mut QUEUE.lock().unwrap(), word, count)
}

pub(crate) fn add_and_wake(word: &AtomicU32, add: u16, count: u32) -> usize {
    step();
    let mut queue = QUEUE.lock().unwrap();
    word.fetch_add(u32::from(add), Ordering::SeqCst);
    wake_locked(&mut queue, word, count)
}

pub(crate) fn set_and_wake(word: &AtomicU32, bits: u16, count: u32) -> usize {
    step();
    let mut queue = QUEUE.lock().unwrap();
    word.fetch_or(u32::from(bits), Ordering::SeqCst);
    wake_locked(&mut queue, word, count)
}

fn wake_locked(queue: &mut Queue, word: &AtomicU32, count: u32) -> usize {
    let mut woken = 0;
    while woken < count as usize {
        let found = queue.sleepers.iter().find(|sleeper| sleeper.0 == address(word));
        let Some(&(_, ticket)) = found else { break };
        queue.sleepers.retain(|sleeper| sleeper.1 != ticket);
        woken += 1;
    }
    WOKEN.notify_all();
    woken
}

fn address(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}

/// Runs `life`; the thread is killed at its `steps`th step into this module, if it gets so
/// far. Then does what the kernel does. Says whether the thread died.
pub(crate) fn mortal(steps: u32, life: impl FnOnce()) -> bool {
    STEPS_TO_LIVE.with(|left| left.set(steps));
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life));
    STEPS_TO_LIVE.with(|left| left.set(u32::MAX));
    match died {
        Ok(()) => false,
        Err(payload) if payload.is::<Killed>() => {
            walk();
            true
        }
        Err(payload) => resume_unwind(payload),
    }
}

struct Killed;

fn step() {
    STEPS_TO_LIVE.with(|left| match left.get() {
        0 => {
            left.set(u32::MAX);
            resume_unwind(Box::new(Killed));
        }
        u32::MAX => {}
        steps => left.set(steps - 1),
    });
}

/// `exit_robust_list`: each held node, and the announced one.
fn walk() {
    let me = ME.with(|me| std::mem::take(&mut *me.borrow_mut()));
    let held = me.held.iter().filter(|node| !me.pending.as_ref().is_some_and(|p| p.is(node)));
    for node in held {
        handle_death(me.tid, node.word());
    }
    if let Some(pending) = &me.pending {
        if pending.word().load(Ordering::SeqCst) & TID_MASK == 0 {
            wake(pending.word(), 1);
        } else {
            handle_death(me.tid, pending.word());
        }
    }
}

fn handle_death(tid: u32, word: &AtomicU32) {
    let mut seen = word.load(Ordering::SeqCst);
    while seen & TID_MASK == tid {
        let died = (seen & WAITERS) | OWNER_DIED;
        match word.compare_exchange(seen, died, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) if seen & WAITERS != 0 => {
                wake(word, 1);
                return;
            }
            Ok(_) => return,
            Err(other) => seen = other,
        }
    }
}
