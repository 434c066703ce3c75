//! A frame: how one message stands in a stream of bytes. Drawn in `docs/layout.md`.
//!
//! ```text
//! 0        8      12     16                256                +n             end
//! | length | fds  | flags| first 240 bytes | n filler bytes   | the rest ... |
//! ```
//!
//! The first 256 bytes, the *block*, are always there, padded with zeros. So a receiver takes a
//! small message in a single call that asks for exactly one block and can never reach into the
//! next frame: nothing is buffered here that `poll` would not see.
//!
//! The descriptors ride in groups of at most 253: the first on the block, each further one on a
//! filler byte of its own.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mp_sys::Errno;
use mp_sys::socket::{self, FDS_MAX, RecvFlags, ReturnFlags, SendFlags};

use crate::{Error, Message, auth};

/// What a receiver asks for first.
pub(crate) const BLOCK: usize = 256;
/// The header at the start of the block.
const HEAD: usize = 16;
/// The part of the message that rides in the block.
const INLINE: usize = BLOCK - HEAD;
/// The least that the buffer grows by.
const GROWTH: usize = 64 * 1024;

/// The header, little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    len: u64,
    fds: u32,
}

impl Head {
    fn write(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.fds.to_le_bytes());
        bytes
    }

    fn read(block: &[u8; BLOCK]) -> Result<Head, Error> {
        let (len, rest) = block.split_first_chunk().expect("the block is longer");
        let (fds, rest) = rest.split_first_chunk().expect("the block is longer");
        let (flags, _) = rest.split_first_chunk().expect("the block is longer");
        match u32::from_le_bytes(*flags) {
            0 => Ok(Head { len: u64::from_le_bytes(*len), fds: u32::from_le_bytes(*fds) }),
            _ => Err(Error::Protocol("a frame has flags that are not known here")),
        }
    }

    /// How many filler bytes follow the block.
    fn fillers(self) -> usize {
        (self.fds as usize).div_ceil(FDS_MAX).saturating_sub(1)
    }

    /// How many bytes ride in the block.
    fn inline(self) -> usize {
        self.len.min(INLINE as u64) as usize
    }
}

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    head: Head,
    bytes: &'a [u8],
    fds: &'a [OwnedFd],
    /// How many bytes of the frame have gone.
    pub(crate) sent: usize,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(bytes: &'a [u8], fds: &'a [OwnedFd]) -> Outgoing<'a> {
        Outgoing {
            head: Head { len: bytes.len() as u64, fds: fds.len() as u32 },
            bytes,
            fds,
            sent: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.sent == BLOCK + self.head.fillers() + self.bytes.len() - self.head.inline()
    }

    /// Makes one system call, which sends all that can go together.
    pub(crate) fn advance(
        &mut self,
        socket: BorrowedFd<'_>,
        flags: SendFlags,
    ) -> Result<(), Errno> {
        let fillers = self.head.fillers();
        let (inline, rest) = self.bytes.split_at(self.head.inline());
        self.sent += if self.sent < BLOCK {
            let mut block = [0; BLOCK];
            block[..HEAD].copy_from_slice(&self.head.write());
            block[HEAD..HEAD + inline.len()].copy_from_slice(inline);
            let group = if self.sent == 0 { self.group(0) } else { Vec::new() };
            let rest = if fillers == 0 { rest } else { &[] };
            let parts = [&block[self.sent..], rest].map(IoSlice::new);
            socket::send(socket, &parts[..1 + usize::from(!rest.is_empty())], &group, flags)?
        } else if self.sent < BLOCK + fillers {
            let group = self.group(self.sent - BLOCK + 1);
            socket::send(socket, &[IoSlice::new(&[0])], &group, flags)?
        } else {
            let rest = &rest[self.sent - BLOCK - fillers..];
            socket::send(socket, &[IoSlice::new(rest)], &[], flags)?
        };
        Ok(())
    }

    fn group(&self, index: usize) -> Vec<BorrowedFd<'_>> {
        self.fds.chunks(FDS_MAX).nth(index).unwrap_or(&[]).iter().map(AsFd::as_fd).collect()
    }
}

/// A message on its way in, as far as it has come.
#[derive(Debug)]
pub(crate) struct Incoming {
    block: [u8; BLOCK],
    filled: usize,
    fillers: usize,
    message: Message,
    /// How many bytes of the message lie in a buffer of the caller's.
    lent: usize,
    /// A group of descriptors came incomplete: this process may open no more.
    lost: bool,
}

impl Default for Incoming {
    fn default() -> Incoming {
        let message = Message::default();
        Incoming { block: [0; BLOCK], filled: 0, fillers: 0, message, lent: 0, lost: false }
    }
}

impl Incoming {
    /// How many bytes of the frame have come.
    pub(crate) fn got(&self) -> u64 {
        let bytes = self.message.bytes.len().max(self.lent);
        (self.filled + self.fillers + bytes.saturating_sub(INLINE)) as u64
    }

    /// Makes at most one system call; `Some` with the message's length when nothing but bytes of
    /// it may be missing.
    pub(crate) fn advance_head(
        &mut self,
        socket: BorrowedFd<'_>,
        limit: u64,
        flags: RecvFlags,
    ) -> Result<Option<u64>, Error> {
        if self.filled < BLOCK {
            self.check_hello(socket)?;
            let room = &mut self.block[self.filled..];
            let got = receive(socket, room, &mut self.message.fds, &mut self.lost, flags);
            self.filled += self.some(got)?;
            if self.filled < BLOCK {
                self.check_hello(socket)?;
                return Ok(None);
            }
        }
        let head = Head::read(&self.block)?;
        if head.len > limit {
            return Err(Error::TooBig { len: head.len, max: limit });
        }
        if self.message.bytes.is_empty() {
            let likely = head.len.min(GROWTH as u64) as usize;
            self.message.bytes.reserve_exact(likely);
            let inline = &self.block[HEAD..HEAD + head.inline()];
            self.message.bytes.extend_from_slice(inline);
        }
        self.check_fds(head)?;
        if self.fillers < head.fillers() {
            let got = receive(socket, &mut [0], &mut self.message.fds, &mut self.lost, flags);
            self.fillers += self.some(got)?;
            self.check_fds(head)?;
            return Ok(None);
        }
        Ok(Some(head.len))
    }

    /// Makes at most one system call for the bytes, after the head; `Some` when that completed
    /// the message.
    pub(crate) fn advance(
        &mut self,
        socket: BorrowedFd<'_>,
        limit: u64,
        flags: RecvFlags,
    ) -> Result<Option<Message>, Error> {
        let Some(len) = self.advance_head(socket, limit, flags)? else { return Ok(None) };
        let have = self.message.bytes.len();
        if (have as u64) < len {
            // Never from the header's word alone: at most as much again as has really come.
            let room = self.message.bytes.capacity() - have;
            let next = if room > 0 { room } else { have };
            let next = next.min((len - have as u64) as usize);
            let got = socket::recv_onto(socket, &mut self.message.bytes, next, flags);
            self.some(got)?;
        }
        if (self.message.bytes.len() as u64) < len {
            return Ok(None);
        }
        self.finish().map(Some)
    }

    /// Moves what has come of the bytes into `buffer`, which is as long as the message.
    pub(crate) fn lend(&mut self, buffer: &mut [u8]) {
        self.lent = self.message.bytes.len();
        buffer[..self.lent].copy_from_slice(&self.message.bytes);
    }

    /// Makes at most one system call for bytes into `buffer`; `Some` when that completed the
    /// message.
    pub(crate) fn advance_lent(
        &mut self,
        socket: BorrowedFd<'_>,
        buffer: &mut [u8],
        flags: RecvFlags,
    ) -> Result<Option<Message>, Error> {
        if self.lent < buffer.len() {
            let got = socket::recv_bytes(socket, &mut buffer[self.lent..], flags);
            self.lent += self.some(got)?;
        }
        if self.lent < buffer.len() { Ok(None) } else { self.finish().map(Some) }
    }

    /// Takes back what has come into `buffer` of a message that is not whole.
    pub(crate) fn take_back(&mut self, buffer: &[u8]) {
        let have = self.message.bytes.len();
        if self.lent > have {
            self.message.bytes.extend_from_slice(&buffer[have..self.lent]);
        }
        self.lent = 0;
    }

    /// Gives out what is whole, and makes room for the next message.
    fn finish(&mut self) -> Result<Message, Error> {
        let message = std::mem::take(&mut self.message);
        (self.filled, self.fillers, self.lent) = (0, 0, 0);
        if std::mem::take(&mut self.lost) {
            return Err(Error::Os { op: "recvmsg", errno: Errno::MFILE });
        }
        Ok(message)
    }

    /// Whether this is no frame, but a side with a key that asks for ours. It is told that there
    /// is none.
    fn check_hello(&self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        if self.block.starts_with(&auth::HELLO) {
            auth::refuse(socket);
            return Err(Error::Authentication);
        }
        Ok(())
    }

    /// Each group must have come with its byte.
    fn check_fds(&self, head: Head) -> Result<(), Error> {
        let due = (head.fds as usize).min((self.fillers + 1) * FDS_MAX);
        let have = self.message.fds.len();
        if have > due || (have < due && !self.lost) {
            return Err(Error::Protocol("a frame has not as many descriptors as it says"));
        }
        Ok(())
    }

    /// Names the end of the stream.
    fn some(&self, got: Result<usize, Errno>) -> Result<usize, Error> {
        match got {
            Ok(0) | Err(Errno::CONNRESET) if self.got() == 0 => Err(Error::Closed),
            Ok(0) | Err(Errno::CONNRESET) => Err(Error::Truncated { got: self.got() }),
            Ok(got) => Ok(got),
            Err(errno) => Err(Error::Os { op: "recvmsg", errno }),
        }
    }
}

/// Receives bytes with descriptors.
fn receive(
    socket: BorrowedFd<'_>,
    room: &mut [u8],
    fds: &mut Vec<OwnedFd>,
    lost: &mut bool,
    flags: RecvFlags,
) -> Result<usize, Errno> {
    let received = socket::recv(socket, room, fds, flags)?;
    *lost |= received.flags.contains(ReturnFlags::CTRUNC);
    Ok(received.bytes)
}
