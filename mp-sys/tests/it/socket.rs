use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mp_sys::Errno;
use mp_sys::memfd::identity;
use mp_sys::socket::{
    FDS_MAX, RecvFlags, ReturnFlags, SendFlags, packet_pair, recv, send, stream_pair,
};

fn bytes(text: &[u8]) -> [IoSlice<'_>; 1] {
    [IoSlice::new(text)]
}

#[test]
fn bytes_and_descriptors_arrive_together() {
    let (a, b) = stream_pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let many = vec![file.as_fd(); FDS_MAX];
    assert_eq!(send(&a, &bytes(b"hello"), &many, SendFlags::empty()), Ok(5));
    let (mut buffer, mut fds) = ([0; 10], Vec::<OwnedFd>::new());
    let received = recv(&b, &mut buffer, &mut fds, RecvFlags::empty()).unwrap();
    assert_eq!((received.bytes, &buffer[..5], fds.len()), (5, b"hello".as_slice(), FDS_MAX));
    assert_eq!(identity(fds[0].as_fd()), identity(file.as_fd()));
    let too_many: Vec<BorrowedFd<'_>> = vec![file.as_fd(); FDS_MAX + 1];
    assert_eq!(send(&a, &bytes(b"x"), &too_many, SendFlags::empty()), Err(Errno::INVAL));
}

#[test]
fn a_packet_is_one_receive_and_says_if_it_was_cut() {
    let (a, b) = packet_pair().unwrap();
    send(&a, &bytes(b"first"), &[], SendFlags::empty()).unwrap();
    send(&a, &bytes(b"second"), &[], SendFlags::empty()).unwrap();
    let mut buffer = [0; 3];
    let cut = recv(&b, &mut buffer, &mut Vec::new(), RecvFlags::empty()).unwrap();
    assert!(cut.flags.contains(ReturnFlags::TRUNC) && buffer == *b"fir");
    let next = recv(&b, &mut buffer, &mut Vec::new(), RecvFlags::empty()).unwrap();
    assert_eq!((next.bytes, &buffer), (3, b"sec"));
}

#[test]
fn a_peer_that_is_gone_is_reported() {
    let (a, b) = stream_pair().unwrap();
    let none = recv(&a, &mut [0; 1], &mut Vec::new(), RecvFlags::DONTWAIT);
    assert_eq!(none.unwrap_err(), Errno::AGAIN);
    drop(b);
    let end = recv(&a, &mut [0; 1], &mut Vec::new(), RecvFlags::empty()).unwrap();
    assert_eq!(end.bytes, 0);
    assert_eq!(send(&a, &bytes(b"x"), &[], SendFlags::empty()), Err(Errno::PIPE), "no SIGPIPE");
}
