//! Story (complaints C10, C11): Python's resource tracker removes a segment when a process that
//! merely attached it ends, and leaves it for ever when the tracker is killed too.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use mp_shm::{Error, SharedMemory, Value};
use mp_sys::pidfd::Status;

use crate::child::{Child, race, until};

fn unique(what: &str) -> String {
    format!("procs-{what}-{}", std::process::id())
}

/// What is here is never dropped.
static KEPT: Mutex<Vec<SharedMemory>> = Mutex::new(Vec::new());

fn exists(name: &str) -> bool {
    Path::new(&format!("/dev/shm/mp.{name}")).exists()
}

pub(crate) fn an_attachers_end_never_removes() {
    let memory = SharedMemory::create(Some(&unique("attach")), 100).unwrap();
    let name = memory.name();
    Child::start(|| drop(SharedMemory::attach(name).unwrap())).join();
    let exits = || {
        KEPT.lock().unwrap().push(SharedMemory::attach(name).unwrap());
        std::process::exit(0)
    };
    Child::start(exits).join();
    let panics = Child::start(|| {
        let _attached = SharedMemory::attach(name).unwrap();
        std::panic::set_hook(Box::new(|_| {}));
        panic!("on purpose");
    })
    .status();
    assert_eq!(panics, Status::Exited(101));
    let attached = Value::new(false).unwrap();
    let child = Child::start(|| {
        let _attached = SharedMemory::attach(name).unwrap();
        attached.store(true);
        until(|| false);
    });
    until(|| attached.load());
    child.kill();
    Child::start(|| {
        assert!(SharedMemory::create(Some(name), 5).is_err());
        assert!(mp_shm::ShareableList::attach(name).is_err());
        assert_eq!(SharedMemory::sweep().unwrap().iter().find(|swept| *swept == name), None);
    })
    .join();
    assert!(exists(name));
    SharedMemory::attach(name).unwrap();
}

/// Starts a process that makes `name`, writes into it and goes on.
fn creator(name: &str) -> Child {
    let child = Child::start(|| {
        let memory = SharedMemory::create(Some(name), 100).unwrap();
        memory.write(0, b"mine").unwrap();
        until(|| false);
    });
    until(|| {
        let mut bytes = [0; 4];
        let seen = SharedMemory::attach(name).and_then(|memory| memory.read(0, &mut bytes));
        seen.is_ok() && &bytes == b"mine"
    });
    child
}

pub(crate) fn a_killed_creators_name_goes_with_the_next_look() {
    let name = &unique("killed");
    creator(name).kill();
    assert!(exists(name), "nobody has looked");
    assert_eq!(SharedMemory::attach(name).unwrap_err(), Error::NotFound);
    assert!(!exists(name));

    creator(name).kill();
    let mine = SharedMemory::create(Some(name), 7).unwrap();
    assert_eq!(SharedMemory::attach(name).unwrap().size(), 7);
    drop(mine);

    let child = creator(name);
    let attached = SharedMemory::attach(name).unwrap();
    child.kill();
    assert!(SharedMemory::sweep().unwrap().contains(name));
    assert!(!exists(name));
    let mut bytes = [0; 4];
    attached.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"mine", "who has it keeps it");
}

pub(crate) fn a_creator_that_exits_removes_what_it_leaked() {
    let name = &unique("exit");
    Child::start(|| {
        KEPT.lock().unwrap().push(SharedMemory::create(Some(name), 100).unwrap());
        std::process::exit(0);
    })
    .join();
    assert!(!exists(name));
}

pub(crate) fn a_forked_child_is_not_the_creator() {
    let memory = SharedMemory::create(Some(&unique("forked")), 100).unwrap();
    let dropping = memory.clone();
    Child::start(move || {
        assert_eq!(dropping.unlink(), Err(Error::NotCreator));
        drop(dropping);
    })
    .join();
    Child::start(|| std::process::exit(0)).join();
    assert!(exists(memory.name()));
}

/// A forked child shares its parent's open files, and so the creator's lock.
pub(crate) fn a_creator_is_dead_though_its_child_lives() {
    let name = &unique("orphan");
    let done = Value::new(0_u32).unwrap();
    let child = Child::start(|| {
        let _memory = SharedMemory::create(Some(name), 100).unwrap();
        let grandchild = Child::start(|| {
            done.fetch_add(1);
            until(|| done.load() == 2);
            done.fetch_add(1);
        });
        std::mem::forget(grandchild);
        until(|| false);
    });
    until(|| done.load() == 1);
    SharedMemory::attach(name).unwrap();
    child.kill();
    assert_eq!(SharedMemory::attach(name).unwrap_err(), Error::NotFound);
    assert!(!exists(name));
    done.fetch_add(1);
    until(|| done.load() == 3);
}

/// Processes that make, attach and drop names are killed at random instants. What they leave,
/// one sweep removes; a name that a living process has is never removed.
pub(crate) fn kills_at_random_leave_nothing() {
    let prefix = &unique("race");
    let kept = SharedMemory::create(Some(&format!("{prefix}-kept")), 10).unwrap();
    let (end, mut kills, mut swept) = (race(), 0_u32, 0);
    while !end.has_passed() {
        let children: Vec<Child> = (0..3)
            .map(|who| {
                Child::start(move || {
                    for round in 0.. {
                        let name = format!("{prefix}-{}", (round + who) % 4);
                        let made = SharedMemory::create(Some(&name), 5000);
                        let found = SharedMemory::attach(&name);
                        // What is there is whole, and what is ours stays ours.
                        if let Ok(found) = &found {
                            assert!(found.size() == 5000 || made.is_err());
                        }
                        assert!(made.is_err() || found.is_ok(), "{found:?}");
                        drop(found);
                        drop(made);
                    }
                })
            })
            .collect();
        // Somewhere in the first few milliseconds.
        std::thread::sleep(Duration::from_micros(u64::from(kills * 7919 % 4000)));
        for child in children {
            child.kill();
            kills += 1;
        }
        swept += SharedMemory::sweep().unwrap().len();
        let left = std::fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains(prefix)).collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
    assert!(exists(kept.name()));
    eprintln!("{kills} kills, {swept} names swept, none left, none lost");
}
