//! Memory that no region of ours made, though it looks like one.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, chown};
use std::os::unix::net::UnixStream;

use mp_shm::{
    Array, Errno, Error, Frozen, Item, Kind, Placed, Region, ShareableList, SharedMemory, type_hash,
};
use mp_sys::{fd_table, memfd, socket};
use proptest::prelude::*;
use rustix::fs::{SealFlags, fcntl_add_seals, ftruncate};

use crate::shared_memory::unique;

const KIND: Kind = Kind::new(*b"test");

/// A region's header, of `len` bytes.
fn header(region: &Region, len: u64) -> [u8; 64] {
    let mut header = [0; 64];
    rustix::io::pread(region, &mut header, 0).unwrap();
    header[16..24].copy_from_slice(&len.to_le_bytes());
    header
}

/// It costs its maker one page; reading it would cost us all of it.
#[test]
fn who_claims_a_terabyte_must_have_it() {
    const LEN: u64 = 1 << 40;
    let sparse = |header: [u8; 64], seals| {
        let memory = memfd::create_open(c"sparse", 64).unwrap();
        ftruncate(&memory, 64 + LEN).unwrap();
        rustix::io::pwrite(&memory, &header, 0).unwrap();
        fcntl_add_seals(&memory, seals).unwrap();
        memory
    };
    let fixed = SealFlags::SHRINK | SealFlags::GROW;
    let region = Region::create(KIND, 8, 7).unwrap();
    let error = Region::attach(sparse(header(&region, LEN), fixed).as_fd(), KIND, 7).unwrap_err();
    assert!(
        matches!(error, Error::NotReserved { expected, found } if expected == 64 + LEN && found < 1 << 20)
    );
    let region = Region::create(Kind::FROZEN, 8, type_hash::<u8>()).unwrap();
    let frozen = sparse(header(&region, LEN), fixed | SealFlags::WRITE);
    assert!(matches!(Frozen::<u8>::attach(frozen.as_fd()), Err(Error::NotReserved { .. })));

    let list = ShareableList::create(None, [1.into()]).unwrap();
    let file = named(list.name());
    let mut bytes = [0; 64];
    file.read_exact_at(&mut bytes, 0).unwrap();
    file.set_len(64 + LEN).unwrap();
    file.write_all_at(&LEN.to_le_bytes(), 16).unwrap();
    // So many slots that their table alone would fill the machine.
    file.write_all_at(&(LEN / 32).to_le_bytes(), 64).unwrap();
    assert!(matches!(ShareableList::attach(list.name()), Err(Error::NotReserved { .. })));
}

fn named(name: &str) -> File {
    let path = format!("/dev/shm/mp.{name}");
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Anybody may put a file into `/dev/shm`, with any mode.
#[test]
fn another_users_file_is_not_attached() {
    let memory = SharedMemory::create(Some(&unique("other")), 8).unwrap();
    let path = format!("/dev/shm/mp.{}", memory.name());
    if chown(&path, Some(65_534), None).is_err() {
        return; // Only root can try.
    }
    let refused = SharedMemory::attach(memory.name()).unwrap_err();
    assert!(matches!(refused, Error::Os { errno: Errno::ACCESS, .. }), "{refused}");
    assert_eq!(SharedMemory::create(Some(memory.name()), 8).unwrap_err(), Error::Exists);
    chown(&path, Some(rustix::process::geteuid().as_raw()), None).unwrap();
    SharedMemory::attach(memory.name()).unwrap();
}

/// One descriptor of each kind.
fn descriptors() -> Vec<OwnedFd> {
    let region = Region::create(KIND, 100, 7).unwrap();
    let read_only = File::open(format!("/proc/self/fd/{}", region.as_fd().as_raw_fd())).unwrap();
    let path_only = rustix::fs::OFlags::PATH;
    let (reader, writer) = std::io::pipe().unwrap();
    let (packets, _closed) = socket::packet_pair().unwrap();
    let (stream, _) = UnixStream::pair().unwrap();
    vec![
        read_only.into(),
        rustix::fs::open("/dev/shm", path_only, rustix::fs::Mode::empty()).unwrap(),
        File::open("/dev/null").unwrap().into(),
        File::open("/dev/zero").unwrap().into(),
        File::open("/").unwrap().into(),
        File::open("/proc/self/mem").unwrap().into(),
        reader.into(),
        writer.into(),
        packets,
        stream.into(),
        mp_sys::pidfd::open(std::process::id() as i32).unwrap(),
        region.as_fd().try_clone_to_owned().unwrap(),
    ]
}

#[test]
fn no_kind_of_descriptor_is_mistaken() {
    for fd in descriptors() {
        assert!(Region::attach(fd.as_fd(), Kind::QUEUE, 0).is_err());
        assert!(Frozen::<u8>::attach(fd.as_fd()).is_err());
        let array =
            postcard::to_stdvec(&(0_u32, (0_u64, 1_u64, false), type_hash::<u64>())).unwrap();
        let placed = postcard::to_stdvec(&(
            0_u32,
            1_u64 << 20,
            type_hash::<[std::sync::atomic::AtomicU64; 4]>(),
        ))
        .unwrap();
        let ours = memfd::is_size_fixed(&fd).is_ok();
        fd_table::supply(vec![fd], || {
            assert!(postcard::from_bytes::<Array<u64>>(&array).is_err() || ours);
            postcard::from_bytes::<Placed<[std::sync::atomic::AtomicU64; 4]>>(&placed).unwrap_err();
        });
    }
}

proptest! {
    /// All but the claim, which is a lock: one that is held is held.
    #[test]
    fn no_layout_of_a_list_makes_anybody_panic(
        items in prop::collection::vec(prop_oneof![Just(Item::None), any::<i64>().prop_map(Item::from), ".{0,20}".prop_map(Item::from)], 0..5),
        scribbles in prop::collection::vec((0_u64..40, any::<u64>(), 0..4_u8), 1..8),
    ) {
        let list = ShareableList::create(None, items).unwrap();
        let mut file = named(list.name());
        let mut before = Vec::new();
        file.read_to_end(&mut before).unwrap();
        for (word, value, size) in scribbles {
            // From the count on, without the claim behind it.
            let at = 64 + if word == 0 { 0 } else { 40 + word * 8 };
            if at + 8 <= before.len() as u64 {
                let value = value >> [0, 32, 56, 60][usize::from(size)];
                file.write_all_at(&value.to_le_bytes(), at).unwrap();
            }
            for list in [Some(list.clone()), ShareableList::attach(list.name()).ok()].iter().flatten() {
                let _ = (list.to_vec(), list.count(1), format!("{list:?}"));
                for index in 0..list.len().min(10) {
                    let _ = list.set(index, "text");
                }
            }
        }
        fs::metadata(format!("/dev/shm/mp.{}", list.name())).unwrap();
    }
}
