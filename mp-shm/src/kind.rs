use std::fmt;

/// What a region holds: four letters in its header, readable in a hex dump.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind([u8; 4]);

impl Kind {
    /// Many small objects ([`Placed::zeroed`](crate::Placed::zeroed)).
    pub const ARENA: Kind = Kind::new(*b"aren");
    /// An array of atomics.
    pub const ARRAY: Kind = Kind::new(*b"arra");
    /// An array cut into parts, each with a lock.
    pub const PARTS: Kind = Kind::new(*b"part");
    /// A slice that nobody can write.
    pub const FROZEN: Kind = Kind::new(*b"froz");
    /// Bytes with a name.
    pub const NAMED: Kind = Kind::new(*b"name");
    /// A list of values with a name.
    pub const LIST: Kind = Kind::new(*b"list");
    /// A queue's ring.
    pub const QUEUE: Kind = Kind::new(*b"queu");
    /// A large message on its way.
    pub const SPILL: Kind = Kind::new(*b"spil");
    /// A lane between a pool and a worker.
    pub const LANE: Kind = Kind::new(*b"lane");

    /// A kind of one's own.
    pub const fn new(letters: [u8; 4]) -> Kind {
        Kind(letters)
    }

    pub(crate) const fn to_u32(self) -> u32 {
        u32::from_le_bytes(self.0)
    }

    pub(crate) const fn from_u32(word: u32) -> Kind {
        Kind(word.to_le_bytes())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.escape_ascii())
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({self})")
    }
}

/// A number that stands for the type `T` in headers and messages: of its name, size and alignment.
///
/// Equal in every process that runs the same program; two types differ with all but certainty.
///
/// # Examples
///
/// ```
/// use mp_shm::type_hash;
///
/// assert_eq!(type_hash::<u32>(), type_hash::<u32>());
/// assert_ne!(type_hash::<u32>(), type_hash::<i32>());
/// ```
pub fn type_hash<T>() -> u64 {
    let shape = [size_of::<T>() as u64, align_of::<T>() as u64];
    let shape = shape.iter().flat_map(|number| number.to_le_bytes());
    // FNV-1a, 64 bits: not against malice, which the family of processes does not expect.
    std::any::type_name::<T>().bytes().chain(shape).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
