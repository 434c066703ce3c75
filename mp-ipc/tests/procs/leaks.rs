//! Making, using and dropping leaves no descriptor and no mapping behind.

use std::fs::{File, read_dir, read_to_string};
use std::io::Write;
use std::os::unix::net::UnixStream;

use libtest_mimic::Trial;
use mp_ipc::{
    Address, Connection, Fd, Key, Listener, Queue, connect, decode, encode, pipe, simplex,
};

use crate::child::Child;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("connections_leave_nothing_open", connections),
        trial("queues_leave_nothing_open", queues),
        trial("messages_never_received_leave_nothing_open", never_received),
        trial("descriptors_that_were_not_announced_are_closed", not_announced),
        trial("strangers_leave_nothing_open", strangers),
        trial("a_receiver_out_of_descriptors_stays_in_step", out_of_descriptors),
    ]
}

fn open_fds() -> usize {
    read_dir("/proc/self/fd").unwrap().count()
}

fn mappings() -> usize {
    read_to_string("/proc/self/maps").unwrap().lines().count()
}

fn null() -> Fd {
    File::open("/dev/null").unwrap().into()
}

/// Runs `cycle` many times and compares; a first run lets the allocator settle.
fn balanced(times: usize, cycle: impl Fn()) {
    cycle();
    let before = (open_fds(), mappings());
    (0..times).for_each(|_| cycle());
    assert_eq!(open_fds(), before.0);
    assert!(mappings() <= before.1 + 4);
}

fn connections() {
    balanced(10_000, || {
        let (here, there) = pipe::<Fd, ()>().unwrap();
        here.send(&null()).unwrap();
        there.recv().unwrap();
    });
    balanced(1000, || {
        let (sender, receiver) = simplex::<Connection<u8>>().unwrap();
        let (one, _other) = pipe::<u8, u8>().unwrap();
        sender.send(&one).unwrap();
        let _copy: Connection<u8> = decode(encode(&receiver.recv().unwrap()).unwrap()).unwrap();
    });
    balanced(200, || {
        let listener = Listener::private(None).unwrap();
        let _client: Connection<u8> = connect(listener.address(), None).unwrap();
        let _server: Connection<u8> = listener.accept().unwrap();
    });
}

fn queues() {
    balanced(10_000, || {
        let queue = Queue::<Fd>::with_capacity(0, 4096).unwrap();
        queue.put(null()).unwrap();
        queue.put(null()).unwrap();
        queue.get().unwrap();
    });
    balanced(100, || {
        let queue = Queue::<(Queue<u8>, Vec<u8>)>::new(0).unwrap();
        queue.put((Queue::new(0).unwrap(), vec![1; 100_000])).unwrap();
        let (inner, _) = queue.get().unwrap();
        let _copy: Queue<u8> = decode(encode(&inner).unwrap()).unwrap();
        drop(queue.put((inner, vec![2; 50_000])));
    });
}

fn never_received() {
    balanced(1000, || {
        let (here, _there) = pipe::<Vec<Fd>, ()>().unwrap();
        here.send(&vec![null(), null()]).unwrap();
    });
    balanced(100, || {
        // Read as bytes, and read as a type without handles.
        let (here, there) = pipe::<(u8, Fd), u8>().unwrap();
        here.send(&(1, null())).unwrap();
        here.send(&(1, null())).unwrap();
        there.recv_bytes().unwrap();
        let message = there.wire().recv(None).unwrap();
        decode::<u8>(message).unwrap_err();
    });
}

fn not_announced() {
    use mp_sys::socket::{SendFlags, send};
    use std::io::IoSlice;
    use std::os::fd::{AsFd, OwnedFd};
    balanced(100, || {
        let (raw, end) = UnixStream::pair().unwrap();
        let wire = mp_ipc::Wire::from(OwnedFd::from(end));
        let file = null();
        let frame = [IoSlice::new(&[0; 256])];
        send(&raw, &frame, &[file.0.as_fd()], SendFlags::empty()).unwrap();
        assert!(matches!(wire.recv(None), Err(mp_ipc::Error::Protocol(_))));
    });
}

fn strangers() {
    let key = Key::random().unwrap();
    let listener = Listener::private(Some(key.clone())).unwrap();
    let Address::Unix(path) = listener.address().clone() else { panic!() };
    let crowd: Vec<_> = (0..100).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let before = open_fds();
    for _ in 0..5 {
        let _ = listener.try_accept::<u8, u8>();
    }
    assert_eq!(open_fds(), before + 64, "the places are bounded, whoever comes");
    let client = Child::run(|| {
        let client: Connection<u8> = connect(listener.address(), Some(&key)).unwrap();
        client.send(&1).unwrap();
    });
    let server: Connection<u8> = listener.accept().unwrap();
    assert_eq!(server.recv().unwrap(), 1);
    client.succeed();
    drop((crowd, server));
    for mut stranger in (0..100).map(|_| UnixStream::connect(&path).unwrap()) {
        stranger.write_all(b"GET / HTTP/1.0").unwrap();
        drop(stranger);
        let _ = listener.try_accept::<u8, u8>();
    }
    let _ = listener.try_accept::<u8, u8>();
    let left = open_fds() + 100 - before;
    assert_eq!(left, 0, "they are gone, and so are their places");
}

fn out_of_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let (here, there) = pipe::<Vec<Fd>, Vec<Fd>>().unwrap();
    let child = Child::run(|| {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = Some(open_fds() as u64 + 3);
        setrlimit(Resource::Nofile, limit).unwrap();
        let lost = there.recv().unwrap_err();
        let mfile = mp_ipc::Errno::MFILE;
        assert!(matches!(lost, mp_ipc::Error::Os { errno, .. } if errno == mfile), "{lost}");
        assert_eq!(there.recv().unwrap().len(), 1, "the next is whole");
    });
    here.send(&(0..20).map(|_| null()).collect()).unwrap();
    here.send(&vec![null()]).unwrap();
    child.succeed();
}
