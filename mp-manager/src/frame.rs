//! Frames: `[len u32, little endian][len bytes]`, read as they come.

use std::os::fd::AsFd;

use mp_sys::Errno;
use mp_sys::socket::{self, RecvFlags};

pub(crate) const HEADER: usize = 4;

/// What is left of a buffer that has grown larger is given back.
const KEEP: usize = 64 << 10;

/// Bytes that came and are not used up.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// Where the first unused one is.
    at: usize,
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Bytes(usize),
    /// Nothing yet, and the call was not to wait.
    Nothing,
    End,
}

/// The frame at the front, without its header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front<'a> {
    Frame(&'a [u8]),
    /// A part of a frame, or nothing.
    Part,
    TooBig(usize),
}

impl Inbox {
    /// Reads once, through `scratch`.
    pub(crate) fn fill(
        &mut self,
        fd: impl AsFd,
        scratch: &mut [u8],
        flags: RecvFlags,
    ) -> Result<Fill, Errno> {
        match socket::recv_bytes(fd, scratch, flags) {
            Ok(0) => Ok(Fill::End),
            Ok(received) => {
                self.push(&scratch[..received]);
                Ok(Fill::Bytes(received))
            }
            Err(Errno::AGAIN) => Ok(Fill::Nothing),
            Err(errno) => Err(errno),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEEP);
            self.at = 0;
        } else if self.at > KEEP {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The length that the frame at the front announces.
    fn announced(&self) -> Option<usize> {
        let header: [u8; HEADER] = self.bytes.get(self.at..self.at + HEADER)?.try_into().ok()?;
        Some(u32::from_le_bytes(header) as usize)
    }

    /// The frame at the front, if it is whole and not longer than `max`. It is used up.
    pub(crate) fn next(&mut self, max: usize) -> Front<'_> {
        match self.announced() {
            None => Front::Part,
            Some(len) if len > max => Front::TooBig(len),
            Some(len) if self.len() < HEADER + len => Front::Part,
            Some(len) => {
                let start = self.at + HEADER;
                self.at = start + len;
                Front::Frame(&self.bytes[start..start + len])
            }
        }
    }

    /// Whether [`next`](Inbox::next) would have something else to say than "a part".
    pub(crate) fn is_ready(&self, max: usize) -> bool {
        self.announced().is_some_and(|len| len > max || self.len() >= HEADER + len)
    }
}

/// Appends a frame to `bytes`; `write` appends what is in it.
///
/// On failure `bytes` are as they were.
pub(crate) fn append<E>(
    bytes: &mut Vec<u8>,
    max: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<Result<(), usize>, E> {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; HEADER]);
    if let Err(error) = write(bytes) {
        bytes.truncate(start);
        return Err(error);
    }
    let len = bytes.len() - start - HEADER;
    match u32::try_from(len) {
        Ok(header) if len <= max => {
            bytes[start..start + HEADER].copy_from_slice(&header.to_le_bytes());
            Ok(Ok(()))
        }
        _ => {
            bytes.truncate(start);
            Ok(Err(len))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_whole_wherever_it_is_cut() {
        let mut sent = Vec::new();
        for payload in [&b"first"[..], b"", b"third"] {
            let write = |bytes: &mut Vec<u8>| {
                bytes.extend_from_slice(payload);
                Ok::<_, ()>(())
            };
            append(&mut sent, 100, write).unwrap().unwrap();
        }
        for cut in 0..sent.len() {
            let mut inbox = Inbox::default();
            let mut got = Vec::new();
            for part in [&sent[..cut], &sent[cut..]] {
                inbox.push(part);
                while let Front::Frame(frame) = inbox.next(100) {
                    got.push(frame.to_vec());
                }
            }
            assert_eq!(got, [&b"first"[..], b"", b"third"]);
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_told_before_it_is_there() {
        let mut inbox = Inbox::default();
        inbox.push(&u32::MAX.to_le_bytes());
        assert_eq!(inbox.next(100), Front::TooBig(u32::MAX as usize));
        assert!(inbox.is_ready(100));
        assert!(inbox.bytes.capacity() < 1000, "nothing is allocated on a stranger's word");
    }
}
