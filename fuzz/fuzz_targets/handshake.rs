//! Arbitrary bytes from a stranger to a listener, and from a false listener to a client.

#![no_main]

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mp_ipc::{Address, Key, Listener, connect_wire};

static LISTENER: LazyLock<(Listener, Listener, Key)> = LazyLock::new(|| {
    let key = Key::random().unwrap();
    (Listener::private(Some(key.clone())).unwrap(), Listener::private(None).unwrap(), key)
});

fuzz_target!(|bytes: &[u8]| {
    let (listener, fake, key) = &*LISTENER;
    let Address::Unix(path) = listener.address() else { unreachable!() };
    let mut stranger = UnixStream::connect(path).unwrap();
    let _ = stranger.write_all(bytes);
    drop(stranger);
    assert!(listener.try_accept::<u8, u8>().is_err(), "nobody guesses a key");

    std::thread::scope(|scope| {
        let client = scope.spawn(|| connect_wire(fake.address(), Some(key), None));
        let wire = fake.accept_wire(None).unwrap();
        let _ = UnixStream::from(OwnedFd::from(wire)).write_all(bytes);
        assert!(client.join().unwrap().is_err(), "nor does a false listener");
    });
});
