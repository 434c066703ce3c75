//! How other threads of the server process reach its loop: a channel, and a bell beside it.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};

use mp_sys::Errno;
use mp_sys::socket::{self, SendFlags};
use serde_bytes::ByteBuf;

use crate::protocol::{Answer, ObjectId};
use crate::raw::ConnId;

/// What the loop is told.
#[derive(Debug)]
pub(crate) enum News {
    /// A call that took its time is done.
    Answer { conn: ConnId, serial: u64, answer: Answer },
    /// A pool has worked something out.
    Done { outcome: ObjectId, results: Result<Vec<ByteBuf>, String> },
    /// Somebody has shown a listener that it knows the key.
    Stranger(OwnedFd),
}

#[derive(Clone, Debug)]
pub(crate) struct Later {
    news: mpsc::Sender<News>,
    bell: Arc<OwnedFd>,
}

/// Where the loop hears of it: the channel, and the socket that becomes readable.
pub(crate) type Ear = (mpsc::Receiver<News>, OwnedFd);

impl Later {
    pub(crate) fn new() -> Result<(Later, Ear), Errno> {
        let (ours, theirs) = socket::stream_pair()?;
        let (sender, receiver) = mpsc::channel();
        Ok((Later { news: sender, bell: Arc::new(ours) }, (receiver, theirs)))
    }

    /// Tells the loop; whether there still is one.
    pub(crate) fn tell(&self, news: News) -> bool {
        if self.news.send(news).is_err() {
            return false;
        }
        // If there is no room, it has rung often enough.
        let rung = socket::send(&*self.bell, &[IoSlice::new(b"!")], &[], SendFlags::DONTWAIT);
        !matches!(rung, Err(Errno::PIPE | Errno::CONNRESET))
    }
}
