//! Objects live as long as somebody refers to them, and no longer.

use libtest_mimic::Trial;
use mp_manager::{Condition, Dict, Error, List, LockError, Manager, Queue, StartMethod};
use mp_process::Process;

use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("lifetime::proxies_are_arguments_under_every_start_method", arguments),
        trial("lifetime::a_child_returns_what_it_has_made", returned),
        trial("lifetime::a_forked_child_inherits_proxies", inherited),
        trial("lifetime::a_grandchild_is_given_what_a_child_was_given", grandchild),
        trial("lifetime::a_killed_child_gives_back_what_it_held", killed),
        trial("lifetime::what_is_stored_lives_by_what_stores_it", nested),
        trial("lifetime::a_queue_in_a_dict_in_a_list", deep),
        trial("lifetime::a_name_keeps_an_object", named),
        trial("lifetime::the_manager_goes_to_a_child", manager_as_argument),
        trial("lifetime::a_pool_of_the_servers", pool),
        trial("lifetime::nothing_leaks_over_many_rounds", no_leak),
    ]
}

fn fill((dict, list): (Dict<String, u32>, List<u32>)) {
    dict.insert("answer", &42).unwrap();
    list.reverse().unwrap();
}

fn arguments() {
    let manager = Manager::start().unwrap();
    for method in [StartMethod::Fork, StartMethod::Spawn, StartMethod::ForkServer] {
        let (dict, list) = (manager.dict().unwrap(), manager.list_of(0..3).unwrap());
        let process = Process::new(fill, (dict.clone(), list.clone())).method(method);
        process.start().unwrap().join().unwrap();
        assert_eq!(dict.get("answer").unwrap(), Some(42));
        assert_eq!(list.to_vec().unwrap(), [2, 1, 0]);
        drop((dict, list));
        assert_eq!(manager.object_count().unwrap(), 0, "{method:?}");
    }
}

fn make(manager: Manager) -> (List<u32>, Condition) {
    let list = manager.list_of([1, 2]).unwrap();
    (list, manager.condition().unwrap())
}

fn returned() {
    let manager = Manager::start().unwrap();
    // A manager is no clone: what goes to the child is a handle.
    let child = Process::new(make, borrow(&manager)).start().unwrap();
    child.wait();
    // The child is gone, and what it made is on its way.
    let (list, condition) = child.join().unwrap();
    assert_eq!(list.to_vec().unwrap(), [1, 2]);
    drop(condition.lock().or_else(LockError::recover).unwrap());
    drop((list, condition, child));
    assert_eq!(manager.object_count().unwrap(), 0);
}

/// A handle to the same server.
fn borrow(manager: &Manager) -> Manager {
    mp_ipc::decode(mp_ipc::encode(manager).unwrap()).unwrap()
}

fn inherited() {
    let manager = Manager::start().unwrap();
    let total = manager.value(&0_u64).unwrap();
    for round in 1..=50_u64 {
        let list = manager.list_of([round]).unwrap();
        let mine = total.clone();
        let child = Process::forked(move || {
            // The parent has dropped its own long ago.
            let n = list.get(0).unwrap().unwrap();
            mine.update(|total| total + n).unwrap();
        });
        child.start().unwrap().join().unwrap();
        assert_eq!(manager.object_count().unwrap(), 1, "round {round}");
    }
    assert_eq!(total.get().unwrap(), 50 * 51 / 2);
}

fn pass_on(list: List<u32>) {
    let child = Process::new(|list: List<u32>| list.push(&3).unwrap(), list);
    child.method(StartMethod::Spawn).start().unwrap().join().unwrap();
}

fn grandchild() {
    let manager = Manager::start().unwrap();
    let list = manager.list().unwrap();
    Process::new(pass_on, list.clone()).start().unwrap().join().unwrap();
    assert_eq!(list.to_vec().unwrap(), [3]);
}

fn hold((lists, ready): (List<List<u8>>, Queue<()>)) {
    let held: Vec<_> = lists.iter().unwrap().collect();
    lists.clear().unwrap();
    drop(lists);
    ready.put(()).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(60));
    drop(held);
}

fn killed() {
    let manager = Manager::start().unwrap();
    let ready = manager.queue(0).unwrap();
    let lists = manager.list().unwrap();
    lists.extend((0..10).map(|_| manager.list().unwrap())).unwrap();
    assert_eq!(manager.object_count().unwrap(), 12);
    let child = Process::new(hold, (lists.clone(), ready.clone())).start().unwrap();
    ready.get().unwrap();
    assert!(lists.is_empty().unwrap());
    assert_eq!(manager.object_count().unwrap(), 12, "the child has them all");
    child.kill().unwrap();
    child.wait();
    assert_eq!(manager.object_count().unwrap(), 2);
    drop((lists, ready));
    assert_eq!(manager.object_count().unwrap(), 0);
}

fn nested() {
    let manager = Manager::start().unwrap();
    let outer: Dict<u8, List<u8>> = manager.dict().unwrap();
    outer.set(&1, &manager.list_of([1]).unwrap()).unwrap();
    outer.set(&2, &manager.list_of([2]).unwrap()).unwrap();
    assert_eq!(manager.object_count().unwrap(), 3);
    let taken = outer.remove(&1).unwrap().unwrap();
    assert_eq!(manager.object_count().unwrap(), 3, "it is ours now");
    drop(taken);
    assert_eq!(manager.object_count().unwrap(), 2);
    outer.insert(&2, &manager.list().unwrap()).unwrap();
    assert_eq!(manager.object_count().unwrap(), 2, "the one before is gone");
    outer.update_in(&2, |list| list).unwrap();
    assert_eq!(manager.object_count().unwrap(), 2);
    let other = Manager::start().unwrap();
    let foreign = outer.set(&3, &other.list().unwrap());
    assert!(matches!(foreign, Err(Error::Proxy(_))), "{foreign:?}");
    drop(outer);
    assert_eq!(manager.object_count().unwrap(), 0);
}

fn deep() {
    let manager = Manager::start().unwrap();
    let list: List<Dict<String, Queue<u32>>> = manager.list().unwrap();
    {
        let dict = manager.dict().unwrap();
        dict.set("queue", &manager.queue(0).unwrap()).unwrap();
        list.push(&dict).unwrap();
    }
    let queue = list.get(0).unwrap().unwrap().get("queue").unwrap().unwrap();
    queue.put(7).unwrap();
    drop(queue);
    let child = Process::new(
        |list: List<Dict<String, Queue<u32>>>| {
            list.get(0).unwrap().unwrap().get("queue").unwrap().unwrap().get().unwrap()
        },
        list.clone(),
    );
    assert_eq!(child.start().unwrap().join().unwrap(), 7);
    drop(list);
    assert_eq!(manager.object_count().unwrap(), 0, "all of it");
}

fn named() {
    let manager = Manager::start().unwrap();
    manager.publish("jobs", &manager.queue::<u32>(0).unwrap()).unwrap();
    assert_eq!(manager.object_count().unwrap(), 1);
    let taken = manager.publish("jobs", &manager.event().unwrap());
    assert!(matches!(taken, Err(Error::NameTaken(name)) if name == "jobs"));
    assert_eq!(manager.names().unwrap(), ["jobs"]);
    manager.unpublish("jobs").unwrap();
    assert!(matches!(manager.named::<Queue<u32>>("jobs"), Err(Error::NoSuchName(_))));
    assert_eq!(manager.object_count().unwrap(), 0);
}

fn manager_as_argument() {
    let manager = Manager::start().unwrap();
    let child = Process::new(|manager: Manager| manager.pid(), borrow(&manager)).start().unwrap();
    assert_eq!(child.join().unwrap(), None, "it does not end the server");
    assert!(manager.event().is_ok());
}

fn no_leak() {
    let manager = Manager::start().unwrap();
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let server =
        || std::fs::read_dir(format!("/proc/{}/fd", manager.pid().unwrap())).unwrap().count();
    let list = manager.list_of([1]).unwrap();
    let round = || {
        let child = Process::new(|list: List<u32>| list.len().unwrap(), list.clone());
        assert_eq!(child.method(StartMethod::Fork).start().unwrap().join().unwrap(), 1);
        assert_eq!(manager.object_count().unwrap(), 1);
    };
    round();
    let before = (fds(), server());
    (0..50).for_each(|_| round());
    assert_eq!((fds(), server()), before);
}

fn fetch(results: mp_manager::PoolResults<u64>) -> Vec<u64> {
    results.get().unwrap()
}

fn pool() {
    let manager = Manager::start().unwrap();
    let pool = manager.pool(2).unwrap();
    assert_eq!(pool.map(|x: u64| x * x, 0..100).unwrap()[99], 9801);
    let lazily: Result<Vec<u64>, Error> = pool.imap(|x: u64| x * x, 0..200).collect();
    assert_eq!(lazily.unwrap()[199], 199 * 199);
    let mut taken = 0;
    let mut some = pool.imap(|x: u64| x, (0..).inspect(|_| taken += 1));
    assert_eq!(some.next().unwrap().unwrap(), 0);
    drop(some);
    assert!(taken <= 65, "{taken} were taken for one result");
    let results = pool.map_async(|x: u64| x + 1, 0..3).unwrap();
    // Whoever is given the results waits for them.
    let child = Process::new(fetch, results.clone()).start().unwrap();
    assert_eq!(child.join().unwrap(), [1, 2, 3]);
    let died = pool.apply(|(): ()| -> u8 { std::process::abort() }, &());
    assert!(matches!(&died, Err(Error::Task(why)) if why.contains("died")), "{died:?}");
    assert_eq!(pool.apply(|x: u8| x, &7).unwrap(), 7, "the pool goes on");
    drop((pool, results));
    assert_eq!(manager.object_count().unwrap(), 0);
}
