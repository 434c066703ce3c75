//! Listeners, friends and strangers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use mp_ipc::{
    Address, Connection, Deadline, Error, Key, Listener, connect, connect_timeout, decode, encode,
};

const LONG: Duration = Duration::from_secs(10);

fn key(text: &str) -> Key {
    Key::from(text.as_bytes())
}

fn path(listener: &Listener) -> PathBuf {
    match listener.address() {
        Address::Unix(path) => path.clone(),
        other => panic!("{other}"),
    }
}

fn abstract_name() -> Address {
    let random = u64::from_ne_bytes(mp_sys::random::bytes().unwrap());
    Address::Abstract(format!("mp-ipc-test-{random:x}"))
}

/// A client that says hello and hears its word back.
fn round(listener: &Listener, key: Option<&Key>) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let client: Connection<String> = connect(listener.address(), key).unwrap();
            client.send(&"hello".to_string()).unwrap();
            assert_eq!(client.recv().unwrap(), "hello");
        });
        let server: Connection<String> = listener.accept_timeout(LONG).unwrap();
        let word = server.recv().unwrap();
        server.send(&word).unwrap();
    });
}

#[test]
fn every_family_with_and_without_a_key() {
    for key in [None, Some(key("secret")), Some(key(""))] {
        round(&Listener::private(key.clone()).unwrap(), key.as_ref());
        round(&Listener::bind(&abstract_name(), key.clone()).unwrap(), key.as_ref());
        for address in ["127.0.0.1:0", "[::1]:0"] {
            match Listener::bind(&Address::Tcp(address.parse().unwrap()), key.clone()) {
                Ok(listener) => round(&listener, key.as_ref()),
                // A machine without IPv6.
                Err(error) => assert!(address.starts_with('['), "{error}"),
            }
        }
    }
}

#[test]
fn the_private_socket_is_private_and_goes_with_its_creator() {
    let listener = Listener::private(None).unwrap();
    let path = path(&listener);
    let folder = path.parent().unwrap().to_owned();
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let copy: Listener = decode(encode(&listener).unwrap()).unwrap();
    drop(copy);
    assert!(path.exists(), "a copy does not own it");
    round(&listener, None);
    let panicked = thread::spawn(move || {
        let _listener = listener;
        panic!("on purpose");
    });
    panicked.join().unwrap_err();
    assert!(!folder.exists());
}

#[test]
fn an_address_is_taken_once() {
    let unix = Listener::private(None).unwrap();
    let named = Listener::bind(&abstract_name(), None).unwrap();
    let tcp = Listener::bind(&Address::Tcp("127.0.0.1:0".parse().unwrap()), None).unwrap();
    for first in [&unix, &named, &tcp] {
        let again = Listener::bind(first.address(), None);
        assert!(matches!(again, Err(Error::AddressInUse(at)) if at == *first.address()));
        round(first, None);
    }
    let address = named.address().clone();
    drop(named);
    round(&Listener::bind(&address, None).unwrap(), None);
}

#[test]
fn a_long_address_is_an_error_and_not_cut() {
    let folder = Listener::private(None).unwrap();
    let base = path(&folder).with_file_name("");
    for (len, fits) in [(107, true), (108, false), (300, false)] {
        let name = "x".repeat(len - base.as_os_str().len());
        let bound = Listener::bind(&Address::Unix(base.join(&name)), None);
        match bound {
            Ok(listener) => {
                assert!(fits && path(&listener).exists());
                let client: Connection<u8> = connect(listener.address(), None).unwrap();
                assert_eq!(client.peer_address().as_ref(), Some(listener.address()));
                listener.accept::<u8, u8>().unwrap();
                round(&listener, None);
            }
            Err(Error::AddressTooLong { len: said, max: 107 }) => assert!(!fits && said == len),
            Err(other) => panic!("{other}"),
        }
        let bound = Listener::bind(&Address::Abstract("y".repeat(len)), None);
        assert_eq!(bound.is_ok(), fits);
    }
}

#[test]
fn a_wrong_key_is_an_error_on_both_sides_and_the_next_is_served() {
    for address in [abstract_name(), Address::Tcp("127.0.0.1:0".parse().unwrap())] {
        let listener = Listener::bind(&address, Some(key("right"))).unwrap();
        thread::scope(|scope| {
            let client = scope.spawn(|| connect::<(), ()>(listener.address(), Some(&key("wrong"))));
            let server = listener.accept_timeout::<(), ()>(LONG);
            assert!(matches!(server, Err(Error::Authentication)));
            assert!(matches!(client.join().unwrap(), Err(Error::Authentication)));
        });
        round(&listener, Some(&key("right")));
    }
}

/// A key on one side only: both are told, as soon as either says or hears something.
#[test]
fn a_client_without_a_key_is_told_so_and_so_is_the_listener() {
    for address in [abstract_name(), Address::Tcp("127.0.0.1:0".parse().unwrap())] {
        let listener = Listener::bind(&address, Some(key("right"))).unwrap();
        for speaks in [true, false] {
            let client: Connection<u8> = connect(listener.address(), None).unwrap();
            thread::scope(|scope| {
                let server = scope.spawn(|| listener.accept_timeout::<u8, u8>(LONG));
                if speaks {
                    client.send(&1).unwrap();
                }
                let begin = Instant::now();
                assert!(matches!(client.recv_timeout(LONG), Err(Error::Authentication)));
                assert!(matches!(client.recv_timeout(LONG), Err(Error::Authentication)), "again");
                assert!(matches!(server.join().unwrap(), Err(Error::Authentication)));
                assert!(begin.elapsed() < LONG / 4);
            });
            if matches!(address, Address::Abstract(_)) {
                let sent = (0..2).map(|_| client.send(&1)).collect::<Result<Vec<_>, _>>();
                assert!(matches!(sent, Err(Error::Authentication | Error::Closed)), "{sent:?}");
            }
        }
        round(&listener, Some(&key("right")));
    }
}

#[test]
fn a_client_that_only_sends_is_told_that_a_key_was_asked_for() {
    let listener = Listener::private(Some(key("right"))).unwrap();
    let client: Connection<u8> = connect(listener.address(), None).unwrap();
    client.send(&1).unwrap();
    assert!(matches!(listener.accept_timeout::<u8, u8>(LONG), Err(Error::Authentication)));
    assert!(matches!(client.send(&1), Err(Error::Authentication)));
}

#[test]
fn a_client_with_a_key_does_not_trust_a_listener_without() {
    for address in [abstract_name(), Address::Tcp("127.0.0.1:0".parse().unwrap())] {
        let listener = Listener::bind(&address, None).unwrap();
        for speaks in [true, false] {
            thread::scope(|scope| {
                let begin = Instant::now();
                let client = scope
                    .spawn(|| connect_timeout::<(), ()>(listener.address(), Some(&key("k")), LONG));
                let server: Connection<u8> = listener.accept_timeout(LONG).unwrap();
                if speaks {
                    server.send(&1).unwrap();
                } else {
                    assert!(matches!(server.recv_timeout(LONG), Err(Error::Authentication)));
                }
                assert!(matches!(client.join().unwrap(), Err(Error::Authentication)));
                assert!(begin.elapsed() < LONG / 4);
            });
        }
        let short = Duration::from_millis(50);
        let client = connect_timeout::<(), ()>(listener.address(), Some(&key("k")), short);
        assert!(matches!(client, Err(Error::TimedOut)), "it has not said a word");
        drop(listener.try_accept::<(), ()>());
        round(&listener, None);
    }
}

/// Whose creator was killed, and who now want to listen there.
#[test]
fn a_dead_socket_file_is_replaced_by_one_of_many() {
    let folder = Listener::private(None).unwrap();
    // Not that folder itself, which is locked while its listener lives.
    let folder = path(&folder).with_file_name("inside");
    std::fs::create_dir(&folder).unwrap();
    let address = Address::Unix(folder.join("socket"));
    for _ in 0..50 {
        drop(std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap());
        let bound: Vec<_> = thread::scope(|scope| {
            let all = [(); 4].map(|()| scope.spawn(|| Listener::bind(&address, None)));
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let mut bound: Vec<_> = bound
            .into_iter()
            .filter_map(|one| match one {
                Ok(listener) => Some(listener),
                Err(Error::AddressInUse(_)) => None,
                Err(other) => panic!("{other}"),
            })
            .collect();
        let listener = bound.pop().unwrap();
        assert!(bound.is_empty());
        assert!(matches!(listener.try_accept::<(), ()>(), Err(Error::Empty)), "not disturbed");
        round(&listener, None);
        drop(listener);
        assert!(!folder.join("socket").exists());
    }
    std::fs::write(folder.join("socket"), "no socket").unwrap();
    assert!(matches!(Listener::bind(&address, None), Err(Error::AddressInUse(_))));
    assert!(folder.join("socket").exists(), "a file that is no socket stays");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn peers_have_the_addresses_that_they_have() {
    for address in [abstract_name(), Address::Tcp("127.0.0.1:0".parse().unwrap())] {
        let listener = Listener::bind(&address, None).unwrap();
        let client: Connection<u8> = connect(listener.address(), None).unwrap();
        let server: Connection<u8> = listener.accept().unwrap();
        assert_eq!(client.peer_address().as_ref(), Some(listener.address()));
        match (server.peer_address(), listener.address()) {
            (Some(Address::Tcp(peer)), Address::Tcp(here)) => {
                assert!(peer.ip() == here.ip() && peer.port() != here.port());
            }
            (None, Address::Abstract(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let private = Listener::private(None).unwrap();
    let client: Connection<u8> = connect(private.address(), None).unwrap();
    assert_eq!(client.peer_address().as_ref(), Some(private.address()));
}

#[test]
fn a_listener_that_does_not_know_the_key_cannot_pretend() {
    let fake = Listener::bind(&abstract_name(), None).unwrap();
    for reply in [&b"mp-ipc\0\x01"[..], b"GET / HTTP/1.0\r\n\r\n", &[b'W'; 500], b""] {
        thread::scope(|scope| {
            let client = scope.spawn(|| connect::<(), ()>(fake.address(), Some(&key("k"))));
            let server = fake.accept_wire(None).unwrap();
            let mut socket = UnixStream::from(std::os::fd::OwnedFd::from(server));
            socket.write_all(reply).unwrap();
            let mut challenge = b"mp-ipc\0\x01".to_vec();
            challenge.extend([7; 32]);
            let _ = socket.write_all(&challenge[reply.len().min(40)..]);
            let _ = socket.write_all(&[b'W'; 33]);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let refused = client.join().unwrap().unwrap_err();
            let expected = [Error::Authentication.to_string(), Error::Closed.to_string()];
            let protocol = matches!(refused, Error::Protocol(_));
            assert!(protocol || expected.contains(&refused.to_string()), "{refused}");
        });
    }
}

#[test]
fn strangers_cost_a_bounded_place_and_hold_up_nobody() {
    let secret = key("secret");
    for address in [abstract_name(), Address::Tcp("127.0.0.1:0".parse().unwrap())] {
        let listener = Listener::bind(&address, Some(secret.clone())).unwrap();
        let stranger = |bytes: &[u8]| -> Box<dyn Write> {
            let mut socket: Box<dyn Write> = match listener.address() {
                Address::Tcp(address) => Box::new(TcpStream::connect(address).unwrap()),
                other => Box::new(raw_unix(other)),
            };
            socket.write_all(bytes).unwrap();
            socket
        };
        let mut crowd: Vec<Box<dyn Write>> = Vec::new();
        for _ in 0..3 {
            for _ in 0..10 {
                crowd.push(stranger(b""));
                crowd.push(stranger(b"mp-ipc\0\x01 half"));
                crowd.push(stranger(b"GET / HTTP/1.0\r\n\r\n"));
                crowd.push(stranger(&[0xff; 20_000]));
                drop(stranger(b"mp-ipc\0\x01"));
            }
            // If each of the silent ones were waited for, this would come too late.
            round(&listener, Some(&secret));
        }
    }
}

fn raw_unix(address: &Address) -> UnixStream {
    use std::os::linux::net::SocketAddrExt;
    match address {
        Address::Abstract(name) => {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
            UnixStream::connect_addr(&address).unwrap()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_sent_and_closed_before_accept_is_still_readable() {
    let listener = Listener::private(None).unwrap();
    let client: Connection<String> = connect(listener.address(), None).unwrap();
    client.send(&"hello".to_string()).unwrap();
    drop(client);
    let server: Connection<String> = listener.accept().unwrap();
    assert_eq!(server.recv().unwrap(), "hello");
    assert!(matches!(server.recv(), Err(Error::Closed)));
}

#[test]
fn accepting_keeps_its_deadline() {
    let listener = Listener::private(Some(key("k"))).unwrap();
    assert!(matches!(listener.try_accept::<(), ()>(), Err(Error::Empty)));
    let _silent = UnixStream::connect(path(&listener)).unwrap();
    let start = Instant::now();
    let short = Duration::from_millis(30);
    assert!(matches!(listener.accept_timeout::<(), ()>(short), Err(Error::TimedOut)));
    assert!(start.elapsed() >= short && start.elapsed() < LONG);
}

#[test]
fn a_full_backlog_keeps_the_deadline_of_connect() {
    let listener = Listener::bind_with_backlog(&abstract_name(), None, 0).unwrap();
    let mut waiting = Vec::new();
    let short = Duration::from_millis(50);
    let refused = loop {
        match connect_timeout::<(), ()>(listener.address(), None, short) {
            Ok(client) => waiting.push(client),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::TimedOut), "{refused}");
}

#[test]
fn nobody_there_is_an_error() {
    let nobody = connect::<(), ()>(&abstract_name(), None);
    assert!(matches!(nobody, Err(Error::Os { op: "connect", .. })));
    let missing = connect::<(), ()>(&Address::Unix("/nowhere/at/all".into()), None);
    assert!(matches!(missing, Err(Error::Os { op: "connect", .. })));
}

#[test]
fn a_stranger_sees_no_more_than_a_challenge() {
    let listener = Listener::private(Some(key("k"))).unwrap();
    let mut stranger = UnixStream::connect(path(&listener)).unwrap();
    stranger.write_all(&[b'x'; 72]).unwrap();
    let soon = Some(Deadline::after(Duration::from_millis(20)));
    assert!(matches!(listener.accept_wire(soon), Err(Error::TimedOut)));
    let mut seen = Vec::new();
    stranger.read_to_end(&mut seen).unwrap();
    assert_eq!(seen.len(), 40);
}
