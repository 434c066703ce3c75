//! The bytes of a file, from one descriptor to another; holes stay holes.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, Stat, copy_file_range, ftruncate, seek};
use rustix::io::{Errno, pread, pwrite, read, write};

use crate::report::Fault;

/// Room for a small file: read in one call, written in one.
pub(crate) const BUFFER: usize = 256 << 10;
/// How much is copied between two looks at the clock.
const STRIDE: usize = 8 << 20;

/// A copy under way.
pub(crate) struct Contents<'a> {
    pub(crate) from: BorrowedFd<'a>,
    pub(crate) to: BorrowedFd<'a>,
    pub(crate) buffer: &'a mut [u8],
    /// Told of every few bytes that are done.
    pub(crate) moved: &'a mut dyn FnMut(u64),
}

/// Whether fewer blocks lie on the disk than the size asks for.
pub(crate) fn is_sparse(stat: &Stat) -> bool {
    (stat.st_blocks as u64).saturating_mul(512) < stat.st_size as u64
}

impl Contents<'_> {
    /// Copies the whole file, to wherever its end then is.
    pub(crate) fn whole(&mut self, stat: &Stat) -> Result<(), Fault> {
        let size = stat.st_size as u64;
        if is_sparse(stat) {
            ftruncate(self.to, size).map_err(Fault::Write)?;
            self.sparse(0..size)
        } else if size < self.buffer.len() as u64 {
            self.small(size)
        } else {
            self.extent(0..u64::MAX)
        }
    }

    fn small(&mut self, size: u64) -> Result<(), Fault> {
        let mut total = 0;
        loop {
            let count = retry(|| read(self.from, &mut *self.buffer)).map_err(Fault::Read)?;
            let mut left = &self.buffer[..count];
            while !left.is_empty() {
                let written = retry(|| write(self.to, left)).map_err(Fault::Write)?;
                left = &left[written..];
            }
            (self.moved)(count as u64);
            total += count as u64;
            // The expected size in a read that was not filled is the end: no further read.
            if count == 0 || (count < self.buffer.len() && total == size) {
                return Ok(());
            }
        }
    }

    /// Copies the parts of `range` that hold data.
    pub(crate) fn sparse(&mut self, range: Range<u64>) -> Result<(), Fault> {
        let mut at = range.start;
        while at < range.end {
            let data = match seek(self.from, SeekFrom::Data(at)) {
                Ok(data) => data.min(range.end),
                Err(Errno::NXIO) => range.end,
                Err(_) => return self.extent(at..range.end),
            };
            (self.moved)(data - at);
            if data == range.end {
                return Ok(());
            }
            at = seek(self.from, SeekFrom::Hole(data)).map_err(Fault::Read)?.min(range.end);
            self.extent(data..at)?;
        }
        Ok(())
    }

    /// Copies `range`, or what there is of it.
    fn extent(&mut self, range: Range<u64>) -> Result<(), Fault> {
        let mut at = range.start;
        while at < range.end {
            let len = STRIDE.min((range.end - at).try_into().unwrap_or(STRIDE));
            let (mut here, mut there) = (at, at);
            let copied =
                copy_file_range(self.from, Some(&mut here), self.to, Some(&mut there), len);
            match copied {
                Ok(count) if count > 0 => {
                    at += count as u64;
                    (self.moved)(count as u64);
                }
                Err(Errno::INTR) => {}
                // The end, or a pair of files that the kernel will not copy between, or a real
                // error: reading and writing tells which, and on which side.
                _ => return self.by_hand(at..range.end),
            }
        }
        Ok(())
    }

    fn by_hand(&mut self, range: Range<u64>) -> Result<(), Fault> {
        let mut at = range.start;
        while at < range.end {
            let len = self.buffer.len().min((range.end - at).try_into().unwrap_or(usize::MAX));
            let count =
                retry(|| pread(self.from, &mut self.buffer[..len], at)).map_err(Fault::Read)?;
            if count == 0 {
                return Ok(());
            }
            let mut done = 0;
            while done < count {
                let rest = &self.buffer[done..count];
                done += retry(|| pwrite(self.to, rest, at + done as u64)).map_err(Fault::Write)?;
            }
            at += count as u64;
            (self.moved)(count as u64);
        }
        Ok(())
    }
}

fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}
