//! Handles as parts of what is sent.

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use mp_ipc::{
    Address, Connection, Error, Fd, Key, Listener, Message, Queue, Receiver, Sender, Wire, connect,
    encode, pipe, simplex,
};
use mp_sys::socket::{SendFlags, send};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Everything {
    #[serde(with = "mp_ipc::fd")]
    file: File,
    #[serde(with = "mp_ipc::fd")]
    socket: UnixStream,
    #[serde(with = "mp_ipc::fd")]
    listener: TcpListener,
    #[serde(with = "mp_ipc::fd")]
    owned: OwnedFd,
    many: Vec<Fd>,
    connection: Connection<u8>,
    sender: Sender<String>,
    receiver: Receiver<String>,
    key: Key,
}

#[test]
fn all_kinds_travel_together() {
    let (here, there) = pipe::<Everything, ()>().unwrap();
    let (socket, mut other) = UnixStream::pair().unwrap();
    let (connection, far) = pipe::<u8, u8>().unwrap();
    let (sender, receiver) = simplex::<String>().unwrap();
    let mut file = tempfile();
    file.write_all(b"content").unwrap();
    let key = Key::random().unwrap();
    here.send(&Everything {
        file,
        socket,
        listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        owned: File::open("/dev/null").unwrap().into(),
        many: (0..3).map(|_| File::open("/dev/null").unwrap().into()).collect(),
        connection,
        sender,
        receiver,
        key: key.clone(),
    })
    .unwrap();

    let mut all = there.recv().unwrap();
    all.file.rewind().unwrap();
    let mut text = String::new();
    all.file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
    all.socket.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
    TcpStream::connect(all.listener.local_addr().unwrap()).unwrap();
    all.connection.send(&9).unwrap();
    assert_eq!(far.recv().unwrap(), 9);
    all.sender.send(&"both ends came".to_string()).unwrap();
    assert_eq!(all.receiver.recv().unwrap(), "both ends came");
    assert_eq!((all.many.len(), all.key), (3, key));
}

fn tempfile() -> File {
    rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into()
}

#[test]
fn any_number_of_descriptors_travels_in_groups() {
    for count in [0, 1, 252, 253, 254, 506, 507, 1000] {
        for len in [0, 240, 5000] {
            let (here, there) = Wire::pair().unwrap();
            let null = File::open("/dev/null").unwrap();
            let fds = (0..count).map(|_| null.try_clone().unwrap().into()).collect();
            let message = Message { bytes: vec![1; len], fds };
            here.send(&message, None).unwrap();
            here.send(&Message::from_bytes(b"next".to_vec()), None).unwrap();
            drop(message);
            let received = there.recv(None).unwrap();
            assert_eq!((received.fds.len(), received.bytes), (count, vec![1; len]));
            assert_eq!(there.recv(None).unwrap().bytes, b"next");
        }
    }
}

#[test]
fn descriptors_above_256_travel() {
    let null = File::open("/dev/null").unwrap();
    let high = rustix::io::fcntl_dupfd_cloexec(&null, 300).unwrap();
    assert!(high.as_raw_fd() >= 300);
    let (here, there) = pipe::<Fd, ()>().unwrap();
    here.send(&Fd(high)).unwrap();
    there.recv().unwrap();
}

#[test]
fn handles_and_keys_are_for_messages_only() {
    let file = Fd::from(File::open("/dev/null").unwrap());
    let error = postcard::to_stdvec(&file).unwrap_err();
    assert_eq!(error, postcard::Error::SerdeSerCustom);
    postcard::to_stdvec(&Key::random().unwrap()).unwrap_err();
    encode(&file).unwrap();
}

#[test]
fn an_end_in_the_middle_of_a_message_stays_where_it_is() {
    let (here, there) = pipe::<Vec<u8>, ()>().unwrap();
    assert!(matches!(here.try_send(&vec![0; 4_000_000]), Err(Error::Unfinished)));
    let error = encode(&vec![Some(&here)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value cannot be encoded: this end is in the middle of a message"
    );
    assert!(matches!(there.try_recv(), Err(Error::Empty)));
    assert!(matches!(encode(&there), Err(Error::Encode(_))), "its first part is here");
}

#[test]
fn handles_do_not_travel_over_tcp() {
    let listener = Listener::bind(&Address::Tcp("127.0.0.1:0".parse().unwrap()), None).unwrap();
    let client: Connection<Vec<Fd>> = connect(listener.address(), None).unwrap();
    let server: Connection<Vec<Fd>> = listener.accept().unwrap();
    let file = File::open("/dev/null").unwrap();
    assert!(matches!(client.send(&vec![file.into()]), Err(Error::NoHandles)));
    client.send(&vec![]).unwrap();
    assert_eq!(server.recv().unwrap().len(), 0, "and the connection goes on");
}

#[test]
fn a_sent_connection_is_the_same_connection() {
    let (carrier, far) = pipe::<Connection<u32>, ()>().unwrap();
    let (one, other) = pipe::<u32, u32>().unwrap();
    one.set_limit(77);
    carrier.send(&one).unwrap();
    let copy = far.recv().unwrap();
    assert_eq!(copy.wire().limit(), 77);
    drop(one);
    copy.send(&5).unwrap();
    assert_eq!(other.recv().unwrap(), 5);
    assert!(rustix::io::fcntl_getfd(copy.as_fd()).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    drop(copy);
    assert!(matches!(other.recv(), Err(Error::Closed)));
}

/// A putter that is killed between its descriptors and its record leaves them behind.
#[test]
fn orphaned_descriptors_are_bounded_and_go_with_the_queue() {
    let queue = Queue::<Fd>::new(0).unwrap();
    let (mut end, carried) = UnixStream::pair().unwrap();
    let enter = encode(&queue).unwrap().fds.into_iter().find(is_socket).unwrap();
    let orphan = || {
        let bytes = (1_u64 << 32).to_le_bytes();
        send(&enter, &[IoSlice::new(&bytes)], &[carried.as_fd()], SendFlags::DONTWAIT)
    };
    let mut count = 0;
    while orphan().is_ok() {
        count += 1;
    }
    assert!(count < 10_000, "the socket is bounded");
    queue.try_put(File::open("/dev/null").unwrap().into()).expect("they are in nobody's way");
    queue.try_get().unwrap();

    orphan().unwrap();
    drop((carried, enter));
    end.set_nonblocking(true).unwrap();
    assert_eq!(end.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "one is left");
    drop(queue);
    assert_eq!(end.read(&mut [0]).unwrap(), 0, "and goes with the queue");
}

fn is_socket(fd: &OwnedFd) -> bool {
    rustix::net::sockopt::socket_type(fd).is_ok()
}
