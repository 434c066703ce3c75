use std::os::fd::AsFd;

use mp_shm::{Error, Frozen, Kind, Region, type_hash};
use mp_sys::{Errno, memfd};

use crate::travel::{travel, travel_as};

#[test]
fn what_was_written_is_what_everybody_reads() {
    let frozen = Frozen::from_slice(&[1_u16, 2, 3]).unwrap();
    let arrived = travel(&frozen);
    assert!(arrived.same(&frozen), "one mapping");
    drop(frozen);
    assert_eq!(*arrived, [1, 2, 3]);
    assert!(travel(&Frozen::<u64>::from_slice(&[]).unwrap()).is_empty());
    let aligned = Frozen::from_slice(&[[0.5_f64; 3]; 100]).unwrap();
    assert_eq!(aligned[99], [0.5; 3]);
}

#[test]
fn the_kernel_refuses_every_write() {
    let frozen = Frozen::from_slice(&[7_u8; 100]).unwrap();
    let file = std::fs::File::from(frozen.as_fd().try_clone_to_owned().unwrap());
    assert!(rustix::io::pwrite(&file, b"x", 64).is_err());
    assert!(file.set_len(10).is_err() && file.set_len(1_000).is_err());
    assert!(memmap2::MmapOptions::new().map_raw(&file).is_err(), "not even mapped for writing");
}

#[test]
fn the_type_and_the_seal_are_checked() {
    let frozen = Frozen::from_slice(&[1_u32]).unwrap();
    assert!(travel_as::<_, Frozen<f32>>(&frozen).is_err());
    let region = Region::create(Kind::FROZEN, 4, type_hash::<u32>()).unwrap();
    assert_eq!(Frozen::<u32>::attach(region.as_fd()).unwrap_err(), Error::NotFrozen);
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    assert_eq!(Frozen::<u32>::attach(file.as_fd()).unwrap_err(), Error::NotFrozen);
    let tiny = memfd::create_open(c"tiny", 3).unwrap();
    memfd::freeze(&tiny).unwrap();
    let size = Error::Size { expected: 64, found: 3 };
    assert_eq!(Frozen::<u32>::attach(tiny.as_fd()).unwrap_err(), size);
    let blank = memfd::create_open(c"blank", 4096).unwrap();
    memfd::freeze(&blank).unwrap();
    assert!(matches!(Frozen::<u32>::attach(blank.as_fd()), Err(Error::Magic { .. })));
    assert!(Region::attach(frozen.as_fd(), Kind::FROZEN, type_hash::<u32>()).is_err());
}

#[test]
fn too_much_is_an_error() {
    let refused = Error::Os { op: "creating frozen memory", errno: Errno::NOMEM };
    assert_eq!(Frozen::<u64>::builder(usize::MAX).unwrap_err(), refused);
    assert_eq!(Frozen::<u64>::builder(1 << 50).unwrap_err(), refused);
}
