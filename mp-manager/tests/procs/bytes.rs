//! Whatever bytes a client sends, the server goes on, and its memory stays as it is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_manager::{Address, Key, Manager};
use mp_sys::socket;

use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("bytes::at_an_authenticated_server", authenticated),
        trial("bytes::at_an_unauthenticated_server", unauthenticated),
        trial("bytes::a_request_that_never_ends_takes_no_memory", endless),
    ]
}

/// xorshift: the same bytes in every run.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Some bytes, mostly small numbers, so that tags and lengths fit now and then.
    fn some(&mut self, most: u64) -> Vec<u8> {
        let len = self.next() % most;
        (0..len)
            .map(|_| match self.next() % 4 {
                0 => self.next() as u8,
                _ => (self.next() % 24) as u8,
            })
            .collect()
    }
}

fn served() -> (Manager, Address, Key) {
    let (manager, key) = (Manager::start().unwrap(), Key::random().unwrap());
    let any = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = manager.serve(&any, &key).unwrap();
    (manager, address, key)
}

/// How much memory the server has, in KiB.
pub(crate) fn resident(manager: &Manager) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", manager.pid().unwrap()));
    let line = status.unwrap().lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn seconds() -> Duration {
    let seconds = std::env::var("MP_RACE_SECONDS").map_or(1, |n| n.parse().unwrap());
    Duration::from_secs(seconds)
}

/// The hello of a client, as it stands on the wire.
pub(crate) fn hello() -> Vec<u8> {
    // The first request, version 1, no token.
    frame(&[0, 1, 0])
}

/// A request with its length before it.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes(), body].concat()
}

fn authenticated() {
    let (manager, address, key) = served();
    let keep = manager.list_of([1, 2, 3]).unwrap();
    let others = [manager.queue::<u8>(1).unwrap()];
    let (lock, event) = (manager.lock().unwrap(), manager.event().unwrap());
    let before = resident(&manager);
    let (mut bytes, mut connections, mut frames) = (Bytes(88_172_645_463_325_252), 0, 0);
    let start = Instant::now();
    while start.elapsed() < seconds() {
        let wire = mp_ipc::connect_wire(&address, Some(&key), None).unwrap();
        let mut stream = TcpStream::from(OwnedFd::from(wire));
        connections += 1;
        let _ = stream.write_all(&hello());
        for _ in 0..bytes.next() % 40 {
            let mut frame = frame(&bytes.some(60));
            if bytes.next().is_multiple_of(50) {
                frame = bytes.some(100);
            }
            frames += 1;
            if stream.write_all(&frame).is_err() {
                break;
            }
        }
        // What is in it may have changed: its number is easily guessed.
        assert!(keep.len().is_ok());
    }
    println!(
        "{connections} connections, {frames} frames, {} KiB more",
        resident(&manager) - before
    );
    manager.names().unwrap().iter().for_each(|name| manager.unpublish(name).unwrap());
    drop((others, lock, event, keep));
    let gone = Instant::now();
    while manager.object_count().unwrap() > 0 {
        assert!(gone.elapsed() < Duration::from_secs(2), "what they made is gone with them");
    }
}

fn unauthenticated() {
    let (manager, address, _key) = served();
    let Address::Tcp(socket) = address else { panic!("it is TCP") };
    let mut bytes = Bytes(2_463_534_242);
    let before = resident(&manager);
    let (start, mut connections) = (Instant::now(), 0);
    while start.elapsed() < seconds() {
        let mut stream = TcpStream::connect(socket).unwrap();
        let _ = stream.write_all(&bytes.some(4000));
        connections += 1;
        assert_eq!(manager.object_count().unwrap(), 0);
    }
    println!("{connections} connections, {} KiB more", resident(&manager).saturating_sub(before));
    assert!(resident(&manager) < before + 20_000);
}

fn endless() {
    // The family's door, without a hello: a frame that announces 4 GiB.
    let manager = Manager::builder().request_limit(1 << 20).start().unwrap();
    let key = Key::random().unwrap();
    let folder = std::env::temp_dir().join(format!("mp-manager-e-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let address = manager.serve(&Address::Unix(folder.join("socket")), &key).unwrap();
    let before = resident(&manager);
    for greet in [false, true] {
        let wire = mp_ipc::connect_wire(&address, Some(&key), None).unwrap();
        let fd = OwnedFd::from(wire);
        let mut stream = UnixStream::from(fd.try_clone().unwrap());
        if greet {
            stream.write_all(&hello()).unwrap();
        }
        let _ = stream.write_all(&u32::MAX.to_le_bytes());
        let mut sent = 0;
        while sent < 64 << 20 && stream.write_all(&[0; 65536]).is_ok() {
            sent += 65536;
        }
        assert!(sent < 2 << 20, "it is cut off: {sent}");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let _: Result<_, mp_sys::Errno> = socket::shutdown(&fd);
    }
    let grown = resident(&manager).saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB");
    drop(manager);
    let _ = std::fs::remove_dir(folder);
}
