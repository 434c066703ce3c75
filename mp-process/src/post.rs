//! Letters between a process and its child: whole or not at all, and never in the way.
//!
//! One packet socket joins the two. A letter is one packet, and what is too long for a packet
//! lies in a memfd that goes with it. So sending never waits for the receiver: a child can hand
//! over its value and end before anybody looks, and a parent can post the arguments before there
//! is a child. A sender that dies leaves a whole letter or none.
//!
//! ```text
//!  0      1      2           4           8                      16
//!  | kind | form | followers | fds       | length of the body   | body, if form is 0 ...
//! ```
//!
//! Descriptors that one packet cannot carry come in `followers` packets right behind it.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use mp_ipc::Message;
use mp_sys::memfd;
use mp_sys::poll::{Interest, wait_for};
use mp_sys::socket::{self, FDS_MAX, RecvFlags, ReturnFlags, SendFlags};
use mp_sys::{Deadline, Errno};

/// What a letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Parent to child: what to do.
    Order = 1,
    /// Child to parent: about to call the function.
    Hello = 2,
    /// Child to parent: the order cannot be carried out.
    Refusal = 3,
    /// Child to parent: the function's value.
    Value = 4,
    /// Child to parent: a [`TaskError`](crate::TaskError).
    Failure = 5,
    /// Parent to fork server: make a child, which may have to call this function.
    Fork = 6,
    /// Fork server to parent: a child's pid, pidfd and socket, and where its status will be told;
    /// or why there is none.
    Born = 7,
    /// More descriptors of the letter before.
    Follower = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        const KINDS: [Kind; 8] = [
            Kind::Order,
            Kind::Hello,
            Kind::Refusal,
            Kind::Value,
            Kind::Failure,
            Kind::Fork,
            Kind::Born,
            Kind::Follower,
        ];
        KINDS.into_iter().find(|kind| *kind as u8 == byte)
    }
}

#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) kind: Kind,
    pub(crate) message: Message,
}

const HEADER: usize = 16;
/// The longest body inside a packet, so that a packet is one page: a child that has just been
/// forked pays for each page that it writes to.
const INLINE: usize = 4096 - HEADER;
/// The most parts that a body is sent in.
const PARTS: usize = 3;
/// How many descriptors go with one packet; one place is left for the memfd.
const FDS: usize = FDS_MAX - 1;

/// Sends a letter whose body is `parts`, one after the other.
///
/// # Errors
///
/// [`Errno::PIPE`] when the other side is gone, [`Errno::AGAIN`] for more descriptors than the
/// socket holds, [`Errno::NOSPC`] or [`Errno::NOMEM`] when a long letter finds no memory.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    kind: Kind,
    parts: &[&[u8]],
    fds: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    debug_assert!(parts.len() <= PARTS);
    let len = parts.iter().map(|part| part.len()).sum();
    let (first, rest) = fds.split_at(fds.len().min(FDS));
    let followers = rest.len().div_ceil(FDS);
    let long = len > INLINE;
    let mut header = [0; HEADER];
    header[0] = kind as u8;
    header[1] = u8::from(long);
    header[2..4]
        .copy_from_slice(&(u16::try_from(followers).map_err(|_| Errno::MFILE)?).to_le_bytes());
    header[4..8].copy_from_slice(&(fds.len() as u32).to_le_bytes());
    header[8..16].copy_from_slice(&(len as u64).to_le_bytes());
    let mut pieces = [IoSlice::new(&header); 1 + PARTS];
    if long {
        let body = write_body(parts, len)?;
        let carried: Vec<_> = first.iter().copied().chain([body.as_fd()]).collect();
        socket::send(socket, &pieces[..1], &carried, SendFlags::DONTWAIT)?;
    } else {
        // Parts without bytes are left out: one piece is sent with less to copy in.
        let filled = parts.iter().filter(|part| !part.is_empty());
        let places = pieces[1..].iter_mut();
        let count = 1 + filled.zip(places).map(|(part, at)| *at = IoSlice::new(part)).count();
        socket::send(socket, &pieces[..count], first, SendFlags::DONTWAIT)?;
    }
    for chunk in rest.chunks(FDS) {
        let mut header = [0; HEADER];
        header[0] = Kind::Follower as u8;
        socket::send(socket, &[IoSlice::new(&header)], chunk, SendFlags::DONTWAIT)?;
    }
    Ok(())
}

fn write_body(parts: &[&[u8]], len: usize) -> Result<OwnedFd, Errno> {
    let mut file = File::from(memfd::create_open(c"mp-letter", len as u64)?);
    let written = parts.iter().try_for_each(|part| file.write_all(part));
    written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(file.into())
}

/// Receives the letter that is there; `None` at the end of the stream.
///
/// # Errors
///
/// [`Errno::AGAIN`] when there is none, [`Errno::PROTO`] when it is cut off or is no letter,
/// [`Errno::MFILE`] when this process has no room for its descriptors.
pub(crate) fn try_recv(socket: BorrowedFd<'_>) -> Result<Option<Letter>, Errno> {
    recv_followers(socket, Duration::ZERO)
}

/// As [`try_recv`], of a letter that may be in the middle of being sent: packets that follow the
/// first may come this much later each.
pub(crate) fn recv_followers(
    socket: BorrowedFd<'_>,
    late: Duration,
) -> Result<Option<Letter>, Errno> {
    let mut buffer = [0; HEADER + INLINE];
    let mut fds = Vec::new();
    let len = packet(socket, &mut buffer, &mut fds)?;
    if len == 0 {
        return Ok(None);
    }
    if len < HEADER {
        return Err(Errno::PROTO);
    }
    let word = |at: usize, len: usize| {
        buffer[at..at + len].iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte))
    };
    let kind = Kind::from_byte(buffer[0]).ok_or(Errno::PROTO)?;
    let (long, followers) = (buffer[1] == 1, word(2, 2));
    let (count, length) = (word(4, 4) as usize, word(8, 8));
    let body = if long { Some(fds.pop().ok_or(Errno::PROTO)?) } else { None };
    for _ in 0..followers {
        let mut small = [0; HEADER];
        let _ = wait_for(socket, Interest::Readable, Some(Deadline::after(late)));
        let got = packet(socket, &mut small, &mut fds);
        // A follower that does not come was never sent: its sender died.
        if got.unwrap_or(0) != HEADER || small[0] != Kind::Follower as u8 {
            return Err(Errno::PROTO);
        }
    }
    let bytes = match body {
        Some(body) => read_body(body, length)?,
        None if length == (len - HEADER) as u64 => buffer[HEADER..len].to_vec(),
        None => return Err(Errno::PROTO),
    };
    if fds.len() != count {
        return Err(Errno::PROTO);
    }
    Ok(Some(Letter { kind, message: Message { bytes, fds } }))
}

/// One packet: how many bytes it has.
fn packet(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> Result<usize, Errno> {
    match socket::recv(socket, buffer, fds, RecvFlags::DONTWAIT) {
        Ok(received) if received.flags.contains(ReturnFlags::CTRUNC) => Err(Errno::MFILE),
        Ok(received) if received.flags.contains(ReturnFlags::TRUNC) => Err(Errno::PROTO),
        Ok(received) => Ok(received.bytes),
        // The other side closed with something of ours unread: to us, the end.
        Err(Errno::CONNRESET) => Ok(0),
        Err(errno) => Err(errno),
    }
}

fn read_body(body: OwnedFd, length: u64) -> Result<Vec<u8>, Errno> {
    // The memory that is asked for is there already: the sender paid for it.
    if memfd::size(&body)? != length || memfd::reserved(&body)? < length {
        return Err(Errno::PROTO);
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| Errno::PROTO)?];
    let read = File::from(body).read_exact_at(&mut bytes, 0);
    read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::PROTO))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(bytes: usize, fds: usize) {
        let (a, b) = socket::packet_pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        let body = vec![7; bytes];
        let (left, right) = body.split_at(bytes / 3);
        send(a.as_fd(), Kind::Value, &[left, right], &vec![file.as_fd(); fds]).unwrap();
        drop(a);
        let letter = try_recv(b.as_fd()).unwrap().unwrap();
        assert_eq!((letter.kind, letter.message.bytes), (Kind::Value, body));
        assert_eq!(letter.message.fds.len(), fds);
        assert!(try_recv(b.as_fd()).unwrap().is_none());
    }

    #[test]
    fn letters_of_any_size_arrive_whole() {
        for bytes in [0, 1, INLINE, INLINE + 1, 3_000_000] {
            for fds in [0, 1, FDS, FDS + 1, 2 * FDS + 1] {
                there_and_back(bytes, fds);
            }
        }
    }

    #[test]
    fn what_is_no_letter_is_an_error() {
        let (a, b) = socket::packet_pair().unwrap();
        assert_eq!(try_recv(b.as_fd()).unwrap_err(), Errno::AGAIN);
        let long: [u8; HEADER] = std::array::from_fn(|at| if at < 2 { 1 } else { 0xff });
        for bytes in [&b"short"[..], &[0; HEADER], &[0xff; HEADER], &long, &[1; HEADER + 7]] {
            socket::send(&a, &[IoSlice::new(bytes)], &[], SendFlags::DONTWAIT).unwrap();
            assert_eq!(try_recv(b.as_fd()).unwrap_err(), Errno::PROTO);
        }
    }
}
