//! Clients from elsewhere, who know the address and the key.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_manager::{Address, Error, Key, List, LockError, Manager, Queue, StartMethod};
use mp_process::Process;

use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("remote::two_clients_share_a_queue_over_tcp", tcp),
        trial("remote::a_unix_address_and_a_restart_on_it_at_once", unix_restart),
        trial("remote::a_tcp_restart_on_the_same_port_at_once", tcp_restart),
        trial("remote::python_test_remote", python_test_remote),
        trial("remote::another_key_and_another_type_are_told", refused),
        trial("remote::a_dead_remote_client_gives_its_lock_back", death),
        trial("remote::strangers_who_say_nothing_delay_nobody", strangers),
        trial("remote::a_remote_proxy_goes_to_a_child", to_child),
    ]
}

fn any_port() -> Address {
    Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// Serves a queue of this name, and the way there.
fn serving(address: &Address) -> (Manager, Address, Key) {
    let (manager, key) = (Manager::start().unwrap(), Key::random().unwrap());
    let address = manager.serve(address, &key).unwrap();
    (manager, address, key)
}

fn produce((address, key): (Address, Key)) {
    let manager = Manager::connect(&address, &key).unwrap();
    let queue: Queue<String> = manager.named("queue").unwrap();
    for word in ["hello", "from", "elsewhere"] {
        queue.put(word.to_owned()).unwrap();
    }
}

fn consume((address, key): (Address, Key)) -> Vec<String> {
    let manager = Manager::connect(&address, &key).unwrap();
    let queue: Queue<String> = manager.named("queue").unwrap();
    (0..3).map(|_| queue.get().unwrap()).collect()
}

fn tcp() {
    let (manager, address, key) = serving(&any_port());
    manager.publish("queue", &manager.queue::<String>(0).unwrap()).unwrap();
    let way = (address, key);
    let consumer = Process::new(consume, way.clone()).method(StartMethod::Spawn).start().unwrap();
    Process::new(produce, way).method(StartMethod::Spawn).start().unwrap().join().unwrap();
    assert_eq!(consumer.join().unwrap(), ["hello", "from", "elsewhere"]);
    assert_eq!(manager.object_count().unwrap(), 1);
}

fn unix_restart() {
    let folder = std::env::temp_dir().join(format!("mp-manager-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let address = Address::Unix(folder.join("socket"));
    for how in ["shutdown", "kill", "drop"] {
        let (manager, address, key) = serving(&address);
        let client = Manager::connect(&address, &key).unwrap();
        let list = client.list_of([1, 2]).unwrap();
        let second = manager.serve(&address, &key);
        assert!(matches!(second, Err(Error::Refused(_))), "in use: {second:?}");
        match how {
            "shutdown" => manager.shutdown().unwrap(),
            "kill" => {
                let server = mp_sys::pidfd::open(manager.pid().unwrap()).unwrap();
                mp_sys::pidfd::signal(&server, 9).unwrap();
            }
            _ => drop(manager),
        }
        assert!(matches!(list.len(), Err(Error::Disconnected)), "{how}");
    }
    let (manager, ..) = serving(&address);
    drop(manager);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "no file is left");
    std::fs::remove_dir(folder).unwrap();
}

fn tcp_restart() {
    let mut address = any_port();
    for _ in 0..5 {
        let (manager, served, key) = serving(&address);
        let client = Manager::connect(&served, &key).unwrap();
        let list = client.list_of([1]).unwrap();
        manager.shutdown().unwrap();
        assert!(matches!(list.len(), Err(Error::Disconnected)));
        address = served;
    }
}

fn python_test_remote() {
    type Item = (String, Option<bool>, Vec<u8>, f64);
    let (manager, address, key) = serving(&any_port());
    manager.publish("queue", &manager.queue::<Item>(0).unwrap()).unwrap();
    let values: Vec<Item> = vec![
        ("hello world".into(), None, vec![], 2.25),
        ("hall\u{e5} v\u{e4}rlden".into(), Some(true), b"hall\xe5 v\xe4rlden".to_vec(), -0.0),
        ("\u{43f}\u{440}\u{438}\u{432}\u{456}\u{442}".into(), None, vec![0; 1000], f64::MAX),
    ];
    let client = Manager::connect(&address, &key).unwrap();
    let queue: Queue<Item> = client.named("queue").unwrap();
    queue.extend(values.clone()).unwrap();
    let other = Manager::connect(&address, &key).unwrap();
    let other: Queue<Item> = other.named("queue").unwrap();
    assert_eq!(other.get_many(9).unwrap(), values);
    // What cannot be serialised is the caller's error, and the queue is none the worse.
    let fds = client.queue::<mp_ipc::Fd>(0).unwrap();
    let refused = fds.put(std::fs::File::open("/dev/null").unwrap().into()).unwrap_err();
    assert!(matches!(refused.error(), Error::Encode(_)), "{refused}");
    assert!(fds.is_empty().unwrap());
}

fn refused() {
    let (manager, address, key) = serving(&any_port());
    manager.publish("list", &manager.list::<u32>().unwrap()).unwrap();
    let stranger = Manager::connect(&address, &Key::random().unwrap());
    assert!(matches!(stranger, Err(Error::Ipc(mp_ipc::Error::Authentication))), "{stranger:?}");
    let client = Manager::connect(&address, &key).unwrap();
    let wrong = client.named::<List<i8>>("list").unwrap_err();
    assert_eq!(wrong.to_string(), "the managed object is a List<u32>, not a List<i8>");
    let serve = client.serve(&any_port(), &key);
    assert!(matches!(serve, Err(Error::Refused(_))));
    // Processes are started for the family alone.
    assert!(matches!(client.pool(1), Err(Error::Refused(_))));
    drop(client);
    assert!(manager.event().is_ok());
}

fn hold((address, key): (Address, Key)) {
    let manager = Manager::connect(&address, &key).unwrap();
    let lock: mp_manager::Lock = manager.named("lock").unwrap();
    let ready: mp_manager::Event = manager.named("ready").unwrap();
    let _guard = lock.lock().unwrap();
    ready.set().unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

fn death() {
    let (manager, address, key) = serving(&any_port());
    let (lock, ready) = (manager.lock().unwrap(), manager.event().unwrap());
    manager.publish("lock", &lock).unwrap();
    manager.publish("ready", &ready).unwrap();
    let holder = Process::new(hold, (address, key)).method(StartMethod::Spawn).start().unwrap();
    ready.wait().unwrap();
    holder.kill().unwrap();
    let start = Instant::now();
    assert!(matches!(lock.lock(), Err(LockError::OwnerDied(_))));
    assert!(start.elapsed() < Duration::from_secs(1));
}

fn strangers() {
    let (manager, address, key) = serving(&any_port());
    let Address::Tcp(socket) = address else { panic!("it is TCP") };
    let silent: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(socket).unwrap()).collect();
    let start = Instant::now();
    let client = Manager::connect(&address, &key).unwrap();
    let list = client.list_of([1]).unwrap();
    assert_eq!(list.len().unwrap(), 1);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop((silent, list));
    assert_eq!(manager.object_count().unwrap(), 0);
}

fn to_child() {
    let (manager, address, key) = serving(&any_port());
    let client = Manager::connect(&address, &key).unwrap();
    let list = client.list_of([1]).unwrap();
    let child = Process::new(|list: List<u32>| list.push(&2).unwrap(), list.clone());
    child.method(StartMethod::Spawn).start().unwrap().join().unwrap();
    assert_eq!(list.to_vec().unwrap(), [1, 2]);
    drop((client, list));
    assert_eq!(manager.object_count().unwrap(), 0);
}
