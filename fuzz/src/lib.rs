//! What the targets share: descriptors of every kind.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use mp_shm::{Frozen, Kind, Region};
use mp_sys::{memfd, socket};

/// A descriptor, of one kind or another.
pub fn descriptor(kind: u8) -> OwnedFd {
    let copy = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().unwrap();
    match kind % 12 {
        0 => File::open("/dev/null").unwrap().into(),
        1 => File::open("/").unwrap().into(),
        2 => socket::packet_pair().unwrap().0,
        3 => UnixStream::pair().unwrap().0.into(),
        4 => {
            let (mut here, there) = UnixStream::pair().unwrap();
            here.write_all(&[1; 100]).unwrap();
            there.into()
        }
        5 => std::io::pipe().unwrap().0.into(),
        6 => copy(&Region::create(Kind::ARRAY, 100, mp_shm::type_hash::<u64>()).unwrap()),
        7 => copy(&Region::create(Kind::SPILL, 5_000, 0).unwrap()),
        8 => copy(&Frozen::from_slice(&[1_u32; 10]).unwrap()),
        9 => memfd::create(c"blank", 4096).unwrap(),
        10 => {
            let sparse = memfd::create_open(c"sparse", 1).unwrap();
            rustix::fs::ftruncate(&sparse, 1 << 40).unwrap();
            sparse
        }
        _ => mp_sys::pidfd::open(std::process::id() as i32).unwrap(),
    }
}
