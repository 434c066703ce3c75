//! A program that has everything open, until it is killed.

use std::time::Duration;

use mp_ipc::{Listener, Queue};
use mp_manager::Manager;
use mp_pool::Pool;
use mp_process::{Process, StartMethod};
use mp_shm::SharedMemory;
use mp_sync::Mutex;

/// Its presence asks for the role; its value marks the family, and names its shared memory.
pub(crate) const MARK: &str = "MP_HOUSEHOLD";

/// Asks for what the next program does that makes a private listener.
pub(crate) const SWEEP: &str = "MP_HOUSEHOLD_SWEEP";

/// Asks for a parent that leaves this behind.
pub(crate) const LEAK: &str = "MP_HOUSEHOLD_LEAK";

/// Takes the role that the environment asks for.
pub(crate) fn take_role() {
    if let Ok(what) = std::env::var(LEAK) {
        leak(&what);
    }
    if std::env::var_os(MARK).is_some() {
        live();
    }
    if std::env::var_os(SWEEP).is_some() {
        Listener::sweep().expect("a folder for temporary files");
        std::process::exit(0);
    }
}

/// Opens everything, closes everything, and starts again, for ever.
fn live() -> ! {
    let mark = std::env::var(MARK).expect("the mark");
    for round in 0_u32.. {
        let queue = Queue::new(4).expect("a queue");
        let lock = Mutex::new(0).expect("a lock");
        let memory = SharedMemory::create(Some(&format!("{mark}-{round}")), 4096).expect("memory");
        let listener = Listener::private(None).expect("a listener");
        // A plain fork is refused while there are threads: then there are two children.
        let methods = [StartMethod::Fork, StartMethod::Spawn, StartMethod::ForkServer];
        let children: Vec<_> = methods
            .into_iter()
            .filter_map(|method| {
                let handles = (queue.clone(), lock.clone(), 1);
                Process::new(member, handles).method(method).daemon(true).start().ok()
            })
            .collect();
        let manager = Manager::start().expect("a manager");
        let dict = manager.dict::<String, u32>().expect("a dict");
        let managed = manager.lock().expect("a lock of the manager's");
        let held = managed.lock().expect("which is free");
        dict.set("round", &round).expect("a number");
        let pool = Pool::new(2).expect("a pool");
        let tasks: Vec<_> = (0..8).map(|task| pool.apply_async(work, task)).collect();
        // The one who kills it counts those that came to here.
        println!("{round}");
        std::thread::sleep(Duration::from_millis(30));
        drop((tasks, pool, held, children, listener, memory));
        queue.close();
    }
    unreachable!("it is killed before")
}

/// Makes what nobody removes, says so, and waits for its death.
fn leak(what: &str) -> ! {
    let mark = std::env::var(MARK).expect("the mark");
    let child = match what {
        "process" => Process::new(std::thread::sleep, Duration::from_secs(60)).start().ok(),
        "name" => {
            std::fs::write(format!("/dev/shm/{mark}"), "").expect("a name");
            None
        }
        _ => {
            std::fs::write(std::env::temp_dir().join("left"), "").expect("a file");
            None
        }
    };
    println!("{what}");
    std::thread::sleep(Duration::from_secs(60));
    drop(child);
    unreachable!("it is killed before")
}

fn work(task: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(20));
    task
}

/// A member of the family that waits for ever, and so does its own child: daemonic as well, since
/// the child of a daemonic process is, unless one says otherwise.
fn member((queue, lock, depth): (Queue<u32>, Mutex<u32>, u32)) {
    let child = (depth > 0).then(|| {
        let handles = (queue.clone(), lock.clone(), depth - 1);
        Process::new(member, handles).method(StartMethod::Spawn).start()
    });
    drop(lock.lock());
    let _ = queue.get();
    drop(child);
}
