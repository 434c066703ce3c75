//! `socketpair(2)`, `sendmsg(2)`, `recvmsg(2)`: bytes and descriptors between processes.
#![expect(
    unsafe_code,
    reason = "a vector grows by what the kernel wrote into its spare room; rustix has no SO_PEEK_OFF"
)]

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, SendAncillaryBuffer,
    SendAncillaryMessage, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::Errno;

pub use rustix::net::{RecvFlags, ReturnFlags, SendFlags};

/// The most descriptors that one message carries: the kernel's `SCM_MAX_FD`.
pub const FDS_MAX: usize = 253;

/// Room for the control message of [`FDS_MAX`] descriptors.
const CONTROL: usize = rustix::cmsg_space!(ScmRights(FDS_MAX));

/// `socketpair(AF_UNIX, SOCK_STREAM)`: two connected ends, close-on-exec.
///
/// # Errors
///
/// [`Errno::MFILE`] or [`Errno::NFILE`] when descriptors run out.
pub fn stream_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

/// `socketpair(AF_UNIX, SOCK_SEQPACKET)`: as [`stream_pair`], and each send is one receive.
///
/// # Errors
///
/// As [`stream_pair`].
pub fn packet_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// `sendmsg(MSG_NOSIGNAL)`: sends `bytes`, with `fds` attached to the first of them.
///
/// Returns how many bytes went; on a packet socket that is all of them. The descriptors went if
/// the call succeeds. Retries when a signal interrupts.
///
/// # Blocking
///
/// Waits for room in the socket, which the peer makes by receiving; if the peer dies it
/// *reports* [`Errno::PIPE`]. With [`SendFlags::DONTWAIT`] in `flags` it never waits.
///
/// # Errors
///
/// [`Errno::PIPE`] or [`Errno::CONNRESET`] when the peer is gone, [`Errno::AGAIN`] when it would
/// wait and may not, [`Errno::INVAL`] for more than [`FDS_MAX`] descriptors.
pub fn send(
    socket: impl AsFd,
    bytes: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<usize, Errno> {
    if fds.len() > FDS_MAX {
        return Err(Errno::INVAL);
    }
    let flags = flags | SendFlags::NOSIGNAL;
    if let ([part], []) = (bytes, fds) {
        // The same with less to copy in for the kernel.
        return rustix::io::retry_on_intr(|| rustix::net::send(&socket, part, flags));
    }
    let mut space = [MaybeUninit::uninit(); CONTROL];
    let mut control = SendAncillaryBuffer::new(if fds.is_empty() { &mut [] } else { &mut space });
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    rustix::io::retry_on_intr(|| sendmsg(&socket, bytes, &mut control, flags))
}

/// What one [`recv`] brought.
#[derive(Debug)]
pub struct Received {
    /// How many bytes; 0 is the end of the stream.
    pub bytes: usize,
    /// [`ReturnFlags::TRUNC`]: the packet was longer than the buffer. [`ReturnFlags::CTRUNC`]:
    /// descriptors were lost because this process may open no more.
    pub flags: ReturnFlags,
}

/// `recvmsg(MSG_CMSG_CLOEXEC)`: receives bytes into `buffer`, and descriptors onto the end of
/// `fds`. Retries when a signal interrupts.
///
/// # Blocking
///
/// Waits for the peer to send; if it dies the call *reports* the end (0 bytes). With
/// [`RecvFlags::DONTWAIT`] it never waits.
///
/// # Errors
///
/// [`Errno::AGAIN`] when it would wait and may not, [`Errno::CONNRESET`] when the peer died with
/// bytes of ours unread.
pub fn recv(
    socket: impl AsFd,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
    flags: RecvFlags,
) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); CONTROL];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = rustix::io::retry_on_intr(|| {
        recvmsg(&socket, &mut parts, &mut control, flags | RecvFlags::CMSG_CLOEXEC)
    })?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            fds.extend(received);
        }
    }
    Ok(Received { bytes: message.bytes, flags: message.flags })
}

/// `recv`: receives up to `len` bytes onto the end of `bytes`, making room for them first.
/// Descriptors that came with them are closed. Retries when a signal interrupts.
///
/// Returns how many bytes came; 0 is the end of the stream.
///
/// # Blocking
///
/// As [`recv`].
///
/// # Errors
///
/// As [`recv`]; [`Errno::NOMEM`] when there is no memory for `len` more bytes.
///
/// # Examples
///
/// ```
/// use mp_sys::socket::{RecvFlags, recv_onto, stream_pair};
///
/// let (here, there) = stream_pair().unwrap();
/// rustix::io::write(&here, b"lo, world").unwrap();
/// let mut bytes = b"hel".to_vec();
/// assert_eq!(recv_onto(&there, &mut bytes, 2, RecvFlags::empty()), Ok(2));
/// assert_eq!(bytes, b"hello", "and not a byte more");
/// ```
pub fn recv_onto(
    socket: impl AsFd,
    bytes: &mut Vec<u8>,
    len: usize,
    flags: RecvFlags,
) -> Result<usize, Errno> {
    bytes.try_reserve_exact(len).map_err(|_| Errno::NOMEM)?;
    let old = bytes.len();
    let room = &mut bytes.spare_capacity_mut()[..len];
    let got = rustix::io::retry_on_intr(|| {
        rustix::net::recv(&socket, &mut *room, flags).map(|(_, got)| got)
    })?;
    let got = got.min(len);
    // SAFETY: the reservation covers `old + len`, and recv(2) wrote the first `got` of `len`.
    unsafe { bytes.set_len(old + got) };
    Ok(got)
}

/// `setsockopt(SO_PEEK_OFF)`: how many bytes a receive with [`RecvFlags::PEEK`] skips.
///
/// It holds for everyone who has the socket, and moves with every peek and receive; so set it
/// right before the peek, with everyone else kept off.
///
/// # Errors
///
/// [`Errno::OPNOTSUPP`] where the socket is no unix socket.
pub fn set_peek_offset(socket: impl AsFd, offset: u32) -> Result<(), Errno> {
    let offset = i32::try_from(offset).map_err(|_| Errno::INVAL)?;
    // SAFETY: SO_PEEK_OFF reads one int (socket(7)), which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEEK_OFF,
            (&raw const offset).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(crate::last_errno()) }
}

/// `recv`: receives bytes into `buffer`, and says how many; 0 is the end of the stream.
/// Descriptors that come with them are dropped by the kernel. Retries when a signal interrupts.
///
/// # Blocking
///
/// As [`recv`].
///
/// # Errors
///
/// As [`recv`].
pub fn recv_bytes(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> Result<usize, Errno> {
    rustix::io::retry_on_intr(|| rustix::net::recv(&socket, &mut *buffer, flags))
        .map(|(received, _)| received)
}

/// `shutdown(SHUT_RDWR)`: ends the connection in both directions, whoever else has a duplicate
/// of the descriptor. A listening socket wakes all who wait to accept from it.
///
/// # Errors
///
/// [`Errno::NOTCONN`] when the other side has ended it already.
pub fn shutdown(socket: impl AsFd) -> Result<(), Errno> {
    rustix::net::shutdown(socket, rustix::net::Shutdown::Both)
}
