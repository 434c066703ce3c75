//! Listeners and their clients in other processes.

use libtest_mimic::Trial;
use mp_ipc::{Address, Connection, Error, Key, Listener, connect, pipe};

use crate::child::Child;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("only_the_creator_removes_the_file", only_the_creator_removes_the_file),
        trial("a_killed_creators_socket_is_swept", a_killed_creators_socket_is_swept),
        trial("a_killed_creators_address_is_free", a_killed_creators_address_is_free),
        trial("a_listener_can_be_sent_and_both_accept", a_listener_can_be_sent),
        trial("a_client_killed_in_the_handshake_is_forgotten", killed_clients),
        trial("a_listener_killed_in_the_handshake_is_reported", a_killed_listener),
    ]
}

fn only_the_creator_removes_the_file() {
    let mut listener = Some(Listener::private(None).unwrap());
    let Address::Unix(path) = listener.as_ref().unwrap().address().clone() else { panic!() };
    let slot = std::cell::RefCell::new(&mut listener);
    Child::run(|| drop(slot.borrow_mut().take())).succeed();
    assert!(path.exists(), "a forked copy leaves it alone");
    drop(listener);
    assert!(!path.parent().unwrap().exists());
}

fn a_killed_creators_socket_is_swept() {
    let mine = Listener::private(None).unwrap();
    let (here, there) = pipe::<(), Address>().unwrap();
    let creator = Child::run(|| {
        let listener = Listener::private(None).unwrap();
        there.send(listener.address()).unwrap();
        there.recv().unwrap();
    });
    let Address::Unix(path) = here.recv().unwrap() else { panic!() };
    let folder = path.parent().unwrap().to_owned();
    assert!(!Listener::sweep().unwrap().contains(&folder) && path.exists(), "its creator lives");
    creator.kill();
    creator.join();
    // Another process may sweep at the same time; whoever did, it is gone.
    Listener::sweep().unwrap();
    assert!(!folder.exists());
    connect::<u8, u8>(mine.address(), None).expect("mine is still there");
}

fn a_killed_creators_address_is_free() {
    let folder = std::env::temp_dir().join(format!("mp-ipc test {}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let address = Address::Unix(folder.join("chosen"));
    let (here, there) = pipe::<(), ()>().unwrap();
    let creator = Child::run(|| {
        let _listener = Listener::bind(&address, None).unwrap();
        there.send(&()).unwrap();
        there.recv().unwrap();
    });
    here.recv().unwrap();
    assert!(matches!(Listener::bind(&address, None), Err(Error::AddressInUse(_))), "it lives");
    connect::<u8, u8>(&address, None).unwrap();
    creator.kill();
    creator.join();
    assert!(connect::<u8, u8>(&address, None).is_err() && folder.join("chosen").exists());
    let listener = Listener::bind(&address, None).unwrap();
    connect::<u8, u8>(&address, None).unwrap();
    drop(listener);
    std::fs::remove_dir(folder).expect("nothing is left in it");
}

fn a_listener_can_be_sent() {
    let key = Key::random().unwrap();
    let listener = Listener::private(Some(key.clone())).unwrap();
    let (carrier, far) = pipe::<Listener, ()>().unwrap();
    let acceptor = Child::run(|| {
        let listener = far.recv().unwrap();
        let client: Connection<u32> = listener.accept().unwrap();
        client.send(&std::process::id()).unwrap();
    });
    carrier.send(&listener).unwrap();
    let client: Connection<u32> = connect(listener.address(), Some(&key)).unwrap();
    assert_ne!(client.recv().unwrap(), std::process::id());
    acceptor.succeed();
}

fn killed_clients() {
    let key = Key::random().unwrap();
    let listener = Listener::private(Some(key.clone())).unwrap();
    for _ in 0..50 {
        let client = Child::run(|| {
            let _ = connect::<u8, u8>(listener.address(), Some(&key));
        });
        match listener.try_accept::<u8, u8>() {
            Ok(_) | Err(Error::Empty) => {}
            Err(other) => panic!("{other}"),
        }
        client.kill();
    }
    let client = Child::run(|| {
        let client: Connection<u8> = connect(listener.address(), Some(&key)).unwrap();
        client.send(&42).unwrap();
    });
    let answer = loop {
        // Some of those that were killed had come through before.
        let server: Connection<u8> = listener.accept().unwrap();
        match server.recv() {
            Ok(answer) => break answer,
            Err(error) => assert!(matches!(error, Error::Closed), "{error}"),
        }
    };
    assert_eq!(answer, 42);
    client.succeed();
}

fn a_killed_listener() {
    let key = Key::random().unwrap();
    let (here, there) = pipe::<Address, ()>().unwrap();
    let server = Child::run(|| {
        let listener = Listener::private(None).unwrap();
        there.wire().send(&mp_ipc::encode(listener.address()).unwrap(), None).unwrap();
        let _client = listener.accept_wire(None).unwrap();
        let Address::Unix(path) = listener.address() else { panic!() };
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        mp_sys::fork::exit_now(0);
    });
    drop(there);
    let address: Address = mp_ipc::decode(here.wire().recv(None).unwrap()).unwrap();
    let refused = connect::<u8, u8>(&address, Some(&key)).unwrap_err();
    assert!(matches!(refused, Error::Closed), "{refused}");
    server.succeed();
}
