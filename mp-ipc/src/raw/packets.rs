//! The descriptors that belong to records: packets on a socket pair of which every holder of the
//! queue has both ends.
//!
//! A packet is sent before its record is committed, under the put lock, with a label that the
//! record repeats. It is looked at (which duplicates its descriptors) before the head passes the
//! record, under the get lock, and thrown away after. So a killed putter leaves a packet that no
//! record names, and a killed getter loses nothing. The orphan goes when the record after it is
//! got, or when the socket is full and the ring empty, and at the latest with the queue.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mp_sys::Errno;
use mp_sys::socket::{self, FDS_MAX, RecvFlags, ReturnFlags, SendFlags};

use crate::Error;

/// Every packet has this many bytes: its label and the number of its descriptors.
const PACKET: usize = 8;

#[derive(Debug)]
pub(crate) struct Packets {
    enter: OwnedFd,
    leave: OwnedFd,
}

impl Packets {
    pub(crate) fn create() -> Result<Packets, Error> {
        let (enter, leave) = socket::packet_pair().map_err(Error::os("socketpair"))?;
        Ok(Packets { enter, leave })
    }

    pub(crate) fn attach(enter: OwnedFd, leave: OwnedFd) -> Packets {
        Packets { enter, leave }
    }

    pub(crate) fn ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.enter.as_fd(), self.leave.as_fd()]
    }

    /// Sends `fds` under `label`; `false` when the socket is full. The caller has the put lock.
    pub(crate) fn send(&self, label: u32, fds: &[BorrowedFd<'_>]) -> Result<bool, Error> {
        if fds.len() > FDS_MAX {
            return Err(Error::TooManyHandles { len: fds.len(), max: FDS_MAX });
        }
        let bytes = (u64::from(label) | (fds.len() as u64) << 32).to_le_bytes();
        match socket::send(&self.enter, &[IoSlice::new(&bytes)], fds, SendFlags::DONTWAIT) {
            Ok(_) => Ok(true),
            // TOOMANYREFS: this user has as many descriptors under way as it may have open.
            Err(Errno::AGAIN | Errno::TOOMANYREFS) => Ok(false),
            Err(errno) => Err(Error::os("sendmsg")(errno)),
        }
    }

    /// Duplicates of the descriptors under `label`, whose packet stays. The caller has the get
    /// lock.
    pub(crate) fn look(&self, label: u32, count: u32) -> Result<Vec<OwnedFd>, Error> {
        // Earlier packets are those of leased records, and those that no record names.
        let mut skip = 0;
        while self.label_at(skip)?.ok_or(MISSING)? != label {
            skip += PACKET as u32;
        }
        let mut fds = Vec::new();
        let mut bytes = [0; PACKET];
        socket::set_peek_offset(&self.leave, skip).map_err(Error::os("setsockopt"))?;
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let got = socket::recv(&self.leave, &mut bytes, &mut fds, flags);
        // The kernel leaves out what this process may not open any more.
        if got.map_err(Error::os("recvmsg"))?.flags.contains(ReturnFlags::CTRUNC) {
            return Err(Error::Os { op: "receiving descriptors", errno: Errno::MFILE });
        }
        if fds.len() != count as usize {
            return Err(Error::Protocol("a queued message has not as many descriptors as it says"));
        }
        Ok(fds)
    }

    /// Throws away the packets up to that under `label`, and says whether there were any. The
    /// caller has the get lock.
    pub(crate) fn discard(&self, label: u32) -> Result<bool, Error> {
        let mut any = false;
        while let Some(first) = self.label_at(0)?
            && first.wrapping_sub(label) as i32 <= 0
        {
            self.receive(RecvFlags::DONTWAIT)?;
            any = true;
        }
        Ok(any)
    }

    /// The label of the packet that begins `skip` bytes on, if there is one.
    fn label_at(&self, skip: u32) -> Result<Option<u32>, Error> {
        socket::set_peek_offset(&self.leave, skip).map_err(Error::os("setsockopt"))?;
        self.receive(RecvFlags::DONTWAIT | RecvFlags::PEEK)
    }

    /// Receives without descriptors: a peek leaves them, anything else closes them.
    fn receive(&self, flags: RecvFlags) -> Result<Option<u32>, Error> {
        let mut bytes = [0; PACKET];
        match socket::recv_bytes(&self.leave, &mut bytes, flags) {
            Ok(PACKET) => Ok(Some(u64::from_le_bytes(bytes) as u32)),
            // The end of the stream would be there again and again.
            Ok(_) => Err(Error::Protocol("what lies beside the queue is no packet of its own")),
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(Error::os("recv")(errno)),
        }
    }
}

const MISSING: Error = Error::Protocol("the descriptors of a queued message are missing");
