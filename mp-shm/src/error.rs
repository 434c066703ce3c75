use mp_sys::{Errno, fd_table};

use crate::Kind;

/// Why shared memory could not be made, attached or reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The descriptor leads to something that no `Region` made.
    #[error("not a region of mp: magic number {found:#018x}, expected {expected:#018x}")]
    Magic {
        /// What every region begins with.
        expected: u64,
        /// What was there.
        found: u64,
    },
    /// Another version of mp made the region.
    #[error(
        "region has layout version {found}, this program knows {expected}: build both sides with the same mp"
    )]
    Version {
        /// The version of this program.
        expected: u32,
        /// The version in the header.
        found: u32,
    },
    /// The region is of another kind, such as a queue where an array was expected.
    #[error("region holds {found}, expected {expected}")]
    Kind {
        /// What was asked for.
        expected: Kind,
        /// What the header says.
        found: Kind,
    },
    /// The region holds elements of another type.
    #[error("region holds another type: expected {name} ({expected:#018x}), found {found:#018x}")]
    Element {
        /// The name of the expected type, if it is known where the check is made.
        name: &'static str,
        /// The [`type_hash`](crate::type_hash) of the expected type.
        expected: u64,
        /// The hash in the header or the message.
        found: u64,
    },
    /// The header names another size than the memory has.
    #[error("region is {found} bytes long, its header says {expected}")]
    Size {
        /// What the header says, with the header itself.
        expected: u64,
        /// The size of the memory.
        found: u64,
    },
    /// The memory could be resized behind our back, so reading it could end in `SIGBUS`.
    #[error("memory is not sealed against resizing: only attach what a Region has made")]
    NotSealed,
    /// There is less memory than its size says, so reading the rest would take it from us.
    #[error("of {expected} bytes only {found} are there: only attach what a Region has made")]
    NotReserved {
        /// The size of the memory.
        expected: u64,
        /// What its maker has taken, in whole pages.
        found: u64,
    },
    /// Somebody could still write the memory, so a slice of it would be unsound.
    #[error("memory is not sealed against writing: only attach what a Frozen has made")]
    NotFrozen,
    /// The region was made in another pid namespace, where the same number means another process.
    #[error(
        "region belongs to pid namespace {found}, this process lives in {expected}: share within one container only"
    )]
    Namespace {
        /// The inode of this process's pid namespace.
        expected: u64,
        /// The inode in the header.
        found: u64,
    },
    /// The place lies outside of the region or of the window.
    #[error("{len} bytes at offset {offset} do not fit into {size} bytes")]
    OutOfBounds {
        /// Where it would begin.
        offset: usize,
        /// How long it would be.
        len: usize,
        /// How much there is.
        size: usize,
    },
    /// The place is not aligned for what should lie there.
    #[error("offset {offset} is not a multiple of {align}")]
    Misaligned {
        /// Where it would begin.
        offset: usize,
        /// What the type wants.
        align: usize,
    },
    /// There is no element of this number.
    #[error("index {index} is beyond the end of {len} elements")]
    Index {
        /// The number asked for.
        index: usize,
        /// How many elements there are.
        len: usize,
    },
    /// What should be copied has another length than the place it should go to.
    #[error("a slice of {found} elements where {expected} are wanted")]
    Length {
        /// The length of the array or the part of it.
        expected: usize,
        /// The length of the slice.
        found: usize,
    },
    /// No shared memory of this name, or its creator has ended.
    #[error("no shared memory of this name, or the process that made it has ended")]
    NotFound,
    /// A living process has shared memory of this name.
    #[error("shared memory of this name exists already: attach it, or choose another name")]
    Exists,
    /// Only the process that made named memory removes the name.
    #[error("only the process that made the memory may unlink its name")]
    NotCreator,
    /// A name is empty or too long.
    #[error("a name has 1 to {max} bytes, this one has {len}")]
    NameLength {
        /// The length in bytes.
        len: usize,
        /// The greatest length.
        max: usize,
    },
    /// A name contains what a file name cannot.
    #[error("a name contains no '/' and no NUL: byte {at} is {byte:#04x}")]
    NameByte {
        /// Where.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// An item is longer than its slot.
    #[error("an item of {len} bytes exceeds the available storage of {room} bytes")]
    TooLong {
        /// The length of the item in bytes.
        len: usize,
        /// What fits.
        room: usize,
    },
    /// Bytes in shared memory that none of ours can have written.
    #[error("shared memory is corrupt: {0} makes no sense")]
    Corrupt(&'static str),
    /// Memory of 0 bytes.
    #[error("named shared memory has at least one byte")]
    Empty,
    /// `/dev/shm`, or the machine, is too full.
    #[error(
        "no room for {needed} bytes of named shared memory, {free} are free: enlarge /dev/shm, or use anonymous memory"
    )]
    NoRoom {
        /// What was asked for, with the header.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// There is no `/dev/shm` for names to be in.
    #[error("there is no /dev/shm: mount a tmpfs there, or use anonymous memory, which needs none")]
    NoFolder,
    /// The handle could not be put into, or taken from, a message.
    #[error(transparent)]
    Handle(#[from] fd_table::Error),
    /// A system call failed.
    #[error("{op} failed: {errno}")]
    Os {
        /// What was being done.
        op: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

impl Error {
    pub(crate) fn os(op: &'static str) -> impl FnOnce(Errno) -> Error {
        move |errno| Error::Os { op, errno }
    }
}
