//! Proving to one another that both sides know the key, without showing it.
//!
//! ```text
//! listener -> client   hello (8) nonce L (32)                                  the challenge
//! client -> listener   hello (8) nonce C (32) HMAC(key, "client"   . L . C)    the answer
//! listener -> client   welcome (1)            HMAC(key, "listener" . L . C)    the verdict
//! ```
//!
//! The hellos go at once, so that a side without a key, to which they are no frame, learns that it
//! is asked for one; it then says that it has none, in a part of its own.
//!
//! HMAC-SHA-256. The two proofs are made over different words, so neither side's proof can be
//! thrown back at it as one's own. Every part has a fixed length: there is nothing to allocate
//! and nothing to parse. After the verdict the frames begin.

use std::fmt;
use std::os::fd::BorrowedFd;

use hmac::{Hmac, KeyInit, Mac};
use mp_sys::poll::{Interest, wait_for};
use mp_sys::socket::{self, RecvFlags, SendFlags};
use mp_sys::{Deadline, Errno, fd_table};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use sha2::Sha256;

use crate::Error;

/// What both sides begin with. Its last byte is the version of the handshake.
pub(crate) const HELLO: [u8; 8] = *b"mp-ipc\x00\x01";
const NONCE: usize = 32;
const PROOF: usize = 32;
const CHALLENGE: usize = HELLO.len() + NONCE;
const ANSWER: usize = CHALLENGE + PROOF;
const VERDICT: usize = 1 + PROOF;
/// The first byte of the verdict; any other is a refusal.
const WELCOME: u8 = b'W';
const REFUSED: [u8; VERDICT] = [b'F'; VERDICT];
/// What a side without a key says, which is as long as the longest part, begins with this; zeros
/// follow.
const KEYLESS: [u8; 8] = *b"mp-ipc\x00\x00";

/// A secret that a listener and those who may connect to it share.
///
/// It prints as `Key(..)`, and serde writes it into a message to another process only: never
/// into a file.
///
/// Python: `authkey`.
///
/// # Examples
///
/// ```
/// use mp_ipc::Key;
///
/// assert_eq!(format!("{:?}", Key::from(&b"secret"[..])), "Key(..)");
/// assert_ne!(Key::random().unwrap(), Key::random().unwrap());
/// ```
#[doc(alias = "authkey")]
#[derive(Clone)]
pub struct Key(Box<[u8]>);

impl Key {
    /// A key of 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] where the kernel has no randomness.
    pub fn random() -> Result<Key, Error> {
        nonce().map(|bytes| Key(bytes.into()))
    }

    fn proof(&self, role: &[u8], challenge: &[u8], answer: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("HMAC takes any length");
        for part in [role, challenge, answer] {
            mac.update(part);
        }
        mac
    }

    fn client(&self, challenge: &[u8; CHALLENGE], answer: &[u8; ANSWER]) -> Hmac<Sha256> {
        self.proof(b"mp-ipc client", challenge, &answer[..CHALLENGE])
    }

    fn listener(&self, challenge: &[u8; CHALLENGE], answer: &[u8; ANSWER]) -> Hmac<Sha256> {
        self.proof(b"mp-ipc listener", challenge, &answer[..CHALLENGE])
    }
}

/// The listener's side of one handshake, which never waits.
#[derive(Debug)]
pub(crate) struct Handshake {
    challenge: [u8; CHALLENGE],
    answer: [u8; ANSWER],
    got: usize,
}

impl Handshake {
    /// Sends the challenge.
    pub(crate) fn begin(socket: BorrowedFd<'_>) -> Result<Handshake, Error> {
        let challenge = join(&[&HELLO, &nonce()?]);
        send(socket, &challenge)?;
        Ok(Handshake { challenge, answer: [0; ANSWER], got: 0 })
    }

    /// Reads on, and when the answer is whole judges it. `false`: more must come first.
    pub(crate) fn advance(&mut self, socket: BorrowedFd<'_>, key: &Key) -> Result<bool, Error> {
        if !recv(socket, &mut self.answer, &mut self.got)? {
            return Ok(false);
        }
        let checked = check(&self.answer, "the answer to the challenge has no hello");
        if checked.is_err() {
            // What TCP finds unread at the end takes the challenge away from the client.
            let _ = socket::recv_bytes(socket, &mut [0; 512], RecvFlags::DONTWAIT);
        }
        checked?;
        let proof = key.client(&self.challenge, &self.answer);
        if proof.verify_slice(&self.answer[CHALLENGE..]).is_err() {
            // Whether it hears it or not, it is refused.
            let _ = send(socket, &REFUSED);
            return Err(Error::Authentication);
        }
        let proof = key.listener(&self.challenge, &self.answer).finalize().into_bytes();
        send(socket, &join::<VERDICT>(&[&[WELCOME], &proof]))?;
        Ok(true)
    }
}

/// The client's side.
pub(crate) fn answer(
    socket: BorrowedFd<'_>,
    key: &Key,
    deadline: Option<Deadline>,
) -> Result<(), Error> {
    send(socket, &HELLO)?;
    let challenge = recv_whole::<CHALLENGE>(socket, deadline)?;
    check(&challenge, "the listener did not begin with a challenge")?;
    let mut answer: [u8; ANSWER] = join(&[&HELLO, &nonce()?, &[0; PROOF]]);
    let proof = key.client(&challenge, &answer).finalize().into_bytes();
    answer[CHALLENGE..].copy_from_slice(&proof);
    send(socket, &answer[HELLO.len()..])?;
    let verdict = recv_whole::<VERDICT>(socket, deadline)?;
    let proof = key.listener(&challenge, &answer);
    match verdict[0] == WELCOME && proof.verify_slice(&verdict[1..]).is_ok() {
        true => Ok(()),
        false => Err(Error::Authentication),
    }
}

/// Tells the other side, which has begun with a hello, that this one has no key.
pub(crate) fn refuse(socket: BorrowedFd<'_>) {
    // It may be gone, or full of frames, which say the same.
    let _ = send(socket, &join::<ANSWER>(&[&KEYLESS, &[0; ANSWER - KEYLESS.len()]]));
}

/// Whether the next that can be received is a hello.
pub(crate) fn is_asked(socket: BorrowedFd<'_>) -> bool {
    let mut hello = [0; HELLO.len()];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    socket::recv_bytes(socket, &mut hello, flags).is_ok_and(|got| hello[..got] == HELLO)
}

/// What is wrong with a part that does not begin with a hello.
fn check(part: &[u8], garbage: &'static str) -> Result<(), Error> {
    // A side that expects no handshake begins with a frame: a length below 2^40, and no flags.
    let is_frame = part[5..8] == [0; 3] && part[12..16] == [0; 4];
    match part.starts_with(&HELLO) {
        true => Ok(()),
        false if is_frame || part.starts_with(&KEYLESS) => Err(Error::Authentication),
        false => Err(Error::Protocol(garbage)),
    }
}

fn nonce() -> Result<[u8; NONCE], Error> {
    mp_sys::random::bytes().map_err(Error::os("getrandom"))
}

fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    parts.concat().try_into().expect("the parts make up the whole")
}

/// Sends all of a short part at once: a socket as fresh as this has room for it.
fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Error> {
    let part = [std::io::IoSlice::new(bytes)];
    match socket::send(socket, &part, &[], SendFlags::DONTWAIT) {
        Ok(sent) if sent == bytes.len() => Ok(()),
        Ok(_) | Err(Errno::AGAIN) => Err(Error::Protocol("the handshake is not being read")),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(Error::Closed),
        Err(errno) => Err(Error::Os { op: "sendmsg", errno }),
    }
}

/// Receives what is there of a part; `true` when it is whole.
fn recv(socket: BorrowedFd<'_>, part: &mut [u8], got: &mut usize) -> Result<bool, Error> {
    while *got < part.len() {
        match rustix::net::recv(socket, &mut part[*got..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => return Err(Error::Closed),
            Ok((_, more)) => *got += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(false),
            Err(errno) => return Err(Error::Os { op: "recv", errno }),
        }
    }
    Ok(true)
}

fn recv_whole<const N: usize>(
    socket: BorrowedFd<'_>,
    deadline: Option<Deadline>,
) -> Result<[u8; N], Error> {
    let (mut part, mut got) = ([0; N], 0);
    while !recv(socket, &mut part, &mut got)? {
        if !wait_for(socket, Interest::Readable, deadline).map_err(Error::os("poll"))? {
            return Err(Error::TimedOut);
        }
    }
    Ok(part)
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Key {
        Key(bytes.into())
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Key {
        Key(bytes.into())
    }
}

impl PartialEq for Key {
    /// Takes as long for keys that differ as for equal ones.
    fn eq(&self, other: &Key) -> bool {
        let mine = self.proof(b"", b"", b"").finalize();
        mine == other.proof(b"", b"", b"").finalize()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !fd_table::is_collecting() {
            return Err(ser::Error::custom("a key can only be written into a message"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        Box::deserialize(deserializer).map(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_reflected_challenge_is_refused() {
        // The attacker plays the listener towards a client, and hands its own proof back.
        let key = Key::from(&b"secret"[..]);
        let challenge: [u8; CHALLENGE] = join(&[&HELLO, &[1; NONCE]]);
        let mut reply: [u8; ANSWER] = join(&[&challenge, &[0; PROOF]]);
        let proof = key.client(&challenge, &reply).finalize().into_bytes();
        reply[CHALLENGE..].copy_from_slice(&proof);
        assert!(key.client(&challenge, &reply).verify_slice(&proof).is_ok());
        assert!(key.listener(&challenge, &reply).verify_slice(&proof).is_err());
    }

    #[test]
    fn an_answer_cut_anywhere_is_never_a_welcome() {
        let key = Key::from(&b""[..]);
        for cut in 0..ANSWER {
            let (here, there) = socket::stream_pair().unwrap();
            let mut shake = Handshake::begin(here.as_fd()).unwrap();
            let challenge = recv_whole::<CHALLENGE>(there.as_fd(), None).unwrap();
            let mut answer: [u8; ANSWER] = join(&[&challenge, &[0; PROOF]]);
            let proof = key.client(&challenge, &answer).finalize().into_bytes();
            answer[CHALLENGE..].copy_from_slice(&proof);
            send(there.as_fd(), &answer[..cut]).unwrap();
            assert!(!shake.advance(here.as_fd(), &key).unwrap(), "{cut} bytes are not enough");
            let mut last = answer[cut..].to_vec();
            last[0] ^= 1;
            send(there.as_fd(), &last).unwrap();
            shake.advance(here.as_fd(), &key).unwrap_err();
        }
    }
}
