//! The bell: how workers wake the pool.
//!
//! | word | the pool | a worker that has news |
//! | --- | --- | --- |
//! | `AWAKE` | is at work and will look at every lane before it sleeps | does nothing |
//! | `AT_WORD` | a caller sleeps on the word | takes the word to `AWAKE` and wakes it |
//! | `PATIENT` | a caller sleeps on the word, for a short time | as above, if it has reached its lane's mark or is about to sleep |
//! | `AT_WIRE` | the collector sleeps in `poll` | takes the word to `AWAKE`, sends a byte |
//!
//! The sleeper sets the word, then looks at the lanes, then sleeps; the worker commits, then looks
//! at the word. With a fence in between on both sides, one of the two sees the other.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use mp_shm::Kind;
use mp_sys::Deadline;
use mp_sys::socket::{self, RecvFlags, SendFlags};

use crate::Error;
use crate::sys::{self, AtomicU32, Placed, Region, fence, fence_after_swap};

const AWAKE: u32 = 0;
const AT_WORD: u32 = 1;
const AT_WIRE: u32 = 2;
const PATIENT: u32 = 3;

/// The layout's version, in place of an element's hash.
const LAYOUT: u64 = 1;
const KIND: Kind = Kind::new(*b"bell");

/// The end that rings. Every worker has one, and so has the pool itself.
#[derive(Debug)]
pub(crate) struct Bell {
    region: Region,
    word: Placed<AtomicU32>,
    wire: OwnedFd,
}

impl Bell {
    pub(crate) fn over(region: Region, wire: OwnedFd) -> Result<Bell, Error> {
        let region = region.expect(KIND, LAYOUT)?;
        Ok(Bell { word: region.words(0)?, region, wire })
    }

    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    pub(crate) fn wire(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }

    /// Wakes the pool if it sleeps. What was committed before is seen.
    #[inline]
    pub(crate) fn ring(&self) {
        self.ring_if(|_| true);
    }

    /// As `ring`, but lets a patient caller sleep unless `it_is_time`.
    #[inline]
    pub(crate) fn ring_patiently(&self, it_is_time: impl Fn() -> bool) {
        self.ring_if(|word| word != PATIENT || it_is_time());
    }

    /// Wakes a patient caller: its worker is about to sleep.
    #[inline]
    pub(crate) fn ring_last(&self) {
        self.ring_if(|word| word == PATIENT);
    }

    #[inline]
    fn ring_if(&self, wanted: impl Fn(u32) -> bool) {
        // SeqCst: pairs with the fence in `Ear::arm`.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release in `Ear::arm`: the marks that were set before.
        let word = self.word.load(Ordering::Acquire);
        if word != AWAKE && wanted(word) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        match self.word.swap(AWAKE, Ordering::SeqCst) {
            AT_WORD | PATIENT => {
                sys::wake(&self.word, u32::MAX);
            }
            AT_WIRE => self.knock(),
            _ => {} // Another worker was faster.
        }
    }

    /// Wakes the collector, wherever the word stands.
    pub(crate) fn knock(&self) {
        // A full socket has woken it already; a closed one has nobody behind it.
        let _ = socket::send(&self.wire, &[IoSlice::new(&[1])], &[], SendFlags::DONTWAIT);
    }
}

/// The end that listens.
#[derive(Debug)]
pub(crate) struct Ear {
    word: Placed<AtomicU32>,
    wire: OwnedFd,
}

/// Makes a bell and the ear that hears it.
pub(crate) fn bell() -> Result<(Bell, Ear), Error> {
    let (wire, ear) = socket::stream_pair().map_err(Error::os("making a pool's doorbell"))?;
    let region = Region::create(KIND, 64, LAYOUT)?;
    let bell = Bell::over(region, wire)?;
    let word = bell.word.clone();
    Ok((bell, Ear { word, wire: ear }))
}

impl Ear {
    /// Announces that a caller will sleep on the word. Look at the lanes before you do.
    pub(crate) fn arm_word(&self) {
        self.arm(AT_WORD);
    }

    /// As `arm_word`, for one that wants to hear of each worker only at its mark.
    pub(crate) fn arm_patiently(&self) {
        self.arm(PATIENT);
    }

    /// Announces that the collector will sleep in `poll`. Look at the lanes before it does.
    pub(crate) fn arm_wire(&self) {
        self.arm(AT_WIRE);
    }

    fn arm(&self, state: u32) {
        // A swap, and so behind that of a worker who has just rung.
        self.word.swap(state, Ordering::SeqCst);
        // SeqCst: pairs with the fence in `Bell::ring_if`: either its load sees the word, or our
        // look at the lanes sees what it committed.
        fence_after_swap();
    }

    /// Sleeps until the bell rings or the deadline passes, after one of the two ways to arm the
    /// word.
    pub(crate) fn sleep(&self, deadline: Option<Deadline>) {
        let state = self.word.load(Ordering::Relaxed);
        if state != AWAKE {
            // Both outcomes mean the same to the caller: look.
            let _ = sys::wait(&self.word, state, deadline);
        }
    }

    /// The descriptor that the collector polls.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }

    /// Takes the bytes that have come in.
    pub(crate) fn clear(&self) {
        let mut bytes = [0; 256];
        let mut fds = Vec::new();
        while let Ok(received) = socket::recv(&self.wire, &mut bytes, &mut fds, RecvFlags::DONTWAIT)
            && received.bytes == bytes.len()
        {}
    }
}

/// Sends `fds` over a packet socket, as one packet.
pub(crate) fn send_fds(
    wire: &OwnedFd,
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<(), mp_sys::Errno> {
    socket::send(wire, &[IoSlice::new(&[1])], fds, flags).map(drop)
}

/// Receives the packet that [`send_fds`] has sent.
pub(crate) fn recv_fds(wire: &OwnedFd, flags: RecvFlags) -> Result<Vec<OwnedFd>, mp_sys::Errno> {
    let mut byte = [0];
    let mut fds = Vec::new();
    socket::recv(wire, &mut byte, &mut fds, flags)?;
    Ok(fds)
}
