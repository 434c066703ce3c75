use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use mp_shm::{Array, Error, Kind, Placed, Region, type_hash};
use mp_sys::{fd_table, memfd};
use proptest::prelude::*;
use rustix::fs::SealFlags;

use crate::travel::travel;

const KIND: Kind = Kind::new(*b"test");

#[test]
fn a_region_that_travels_is_the_same_mapping() {
    let region = Region::create(KIND, 100, 7).unwrap();
    let arrived = travel(&region).expect(KIND, 7).unwrap();
    assert!(region.same(&arrived));
}

#[test]
fn many_objects_in_one_message_take_one_descriptor() {
    let objects: Vec<Placed<AtomicU64>> = (0..1000).map(|_| Placed::zeroed().unwrap()).collect();
    let (_, fds) = fd_table::collect(|| postcard::to_stdvec(&objects).unwrap());
    assert!(fds.len() <= 2, "1000 objects of 8 bytes lie in at most two arenas");
    let arrived = travel(&objects);
    arrived[999].store(42, Ordering::Relaxed);
    assert_eq!(objects[999].load(Ordering::Relaxed), 42);
}

#[test]
fn a_handle_outside_of_a_message_is_an_error_that_says_so() {
    let error = postcard::to_stdvec(&Region::create(KIND, 1, 0).unwrap()).unwrap_err();
    assert_eq!(error, postcard::Error::SerdeSerCustom);
    assert!(fd_table::Error::NoMessage.to_string().contains("send it through a queue"));
}

#[test]
fn another_type_is_refused() {
    let placed = Placed::<AtomicU32>::zeroed().unwrap();
    let (bytes, fds) = fd_table::collect(|| postcard::to_stdvec(&placed).unwrap());
    fd_table::supply(fds, || postcard::from_bytes::<Placed<AtomicU64>>(&bytes)).unwrap_err();
}

#[test]
fn what_no_region_made_is_refused() {
    let attach = |fd: std::os::fd::BorrowedFd<'_>| Region::attach(fd, KIND, 0).unwrap_err();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    assert_eq!(attach(file.as_fd()), Error::NotSealed);
    let open = memfd::create_open(c"open", 4096).unwrap();
    assert_eq!(attach(open.as_fd()), Error::NotSealed);
    let tiny = memfd::create(c"tiny", 10).unwrap();
    assert_eq!(attach(tiny.as_fd()), Error::Size { expected: 64, found: 10 });
    let blank = memfd::create(c"blank", 4096).unwrap();
    assert!(matches!(attach(blank.as_fd()), Error::Magic { found: 0, .. }));
    let other = Region::create(Kind::QUEUE, 10, type_hash::<u8>()).unwrap();
    assert_eq!(attach(other.as_fd()), Error::Kind { expected: KIND, found: Kind::QUEUE });
    let expected = Error::Element { name: "the element type", expected: 1, found: 2 };
    let other = Region::create(KIND, 10, 2).unwrap();
    assert_eq!(other.expect(KIND, 1).unwrap_err(), expected);
}

/// A copy of a good region, with one word of its header replaced.
fn with_word(at: usize, bytes: &[u8]) -> OwnedFd {
    let model = Region::create(KIND, 100, 7).unwrap();
    let mut all = [0; 164];
    rustix::io::pread(&model, &mut all, 0).unwrap();
    all[at..at + bytes.len()].copy_from_slice(bytes);
    let memory = memfd::create(c"forged", 164).unwrap();
    rustix::io::pwrite(&memory, &all, 0).unwrap();
    memory
}

#[test]
fn every_refusal_names_what_was_expected_and_what_was_found() {
    let attach = |at, bytes: &[u8]| Region::attach(with_word(at, bytes).as_fd(), KIND, 7);
    attach(8, &1_u32.to_le_bytes()).unwrap();
    let error = attach(8, &9_u32.to_le_bytes()).unwrap_err();
    assert_eq!(error, Error::Version { expected: 1, found: 9 });
    assert_eq!(attach(16, &[101]).unwrap_err(), Error::Size { expected: 165, found: 164 });
    let error = attach(32, &5_u64.to_le_bytes()).unwrap_err();
    let Error::Namespace { expected, found: 5 } = error else { panic!("{error}") };
    assert!(error.to_string().contains(&expected.to_string()) && expected != 5);
    let error = attach(12, b"what").unwrap_err();
    assert_eq!(error.to_string(), "region holds 'what', expected 'test'");
    let error = attach(24, &[8]).unwrap_err();
    assert!(matches!(error, Error::Element { expected: 7, found: 8, .. }));
}

proptest! {
    #[test]
    fn a_window_is_a_vec(
        len in 1_usize..6000,
        writes in prop::collection::vec((0_usize..3000, 0_usize..3000, any::<u8>()), 0..20),
        (at, count) in (0_usize..3000, 0_usize..6000),
    ) {
        let window = Region::create(KIND, len + 3, 0).unwrap().window(3, len).unwrap();
        let mut model = vec![0; len];
        for (at, len_written, first) in writes {
            let bytes: Vec<u8> = (0..len_written).map(|n| first.wrapping_add(n as u8)).collect();
            let fits = at + bytes.len() <= len;
            prop_assert_eq!(window.write(at, &bytes).is_ok(), fits);
            if fits {
                model[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
        let mut seen = vec![0; count];
        let fits = at + count <= len;
        prop_assert_eq!(window.read(at, &mut seen).is_ok(), fits);
        if fits {
            prop_assert_eq!(&seen, &model[at..at + count]);
        }
    }
}

proptest! {
    /// Some of the fields are right, so that each check is met.
    #[test]
    fn no_header_makes_an_attacher_panic(
        words in prop::collection::vec(any::<u64>(), 8),
        right: [bool; 8],
        len in 1_usize..300,
        frozen: bool,
    ) {
        let model = Region::create(KIND, 100, 7).unwrap();
        let memory = memfd::create_open(c"attack", 64 + len as u64).unwrap();
        let mut good = [0; 64];
        rustix::io::pread(&model, &mut good, 0).unwrap();
        good[16..24].copy_from_slice(&(len as u64).to_le_bytes());
        for (at, word) in words.iter().enumerate() {
            let bytes = if right[at] { good[at * 8..][..8].try_into().unwrap() } else { word.to_le_bytes() };
            rustix::io::pwrite(&memory, &bytes, at as u64 * 8).unwrap();
        }
        if frozen {
            memfd::freeze(&memory).unwrap();
            prop_assert!(mp_shm::Frozen::<u16>::attach(memory.as_fd()).is_err());
        } else {
            rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW).unwrap();
            let attached = Region::attach(memory.as_fd(), KIND, 7);
            prop_assert!(attached.is_ok() || right[..5] != [true; 5]);
        }
    }

    /// Handles come from another process: any offset, length and hash may stand in them.
    #[test]
    fn no_handle_makes_a_receiver_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        offset: u64,
        len: u64,
        padded: bool,
    ) {
        let region = Region::create(Kind::ARRAY, 100, type_hash::<u64>()).unwrap();
        let supply = || vec![region.as_fd().try_clone_to_owned().unwrap()];
        fd_table::supply(supply(), || {
            let _ = postcard::from_bytes::<Placed<AtomicU64>>(&bytes);
            let _ = postcard::from_bytes::<Array<u64>>(&bytes);
        });
        let good = (0_u32, (offset, len, padded), type_hash::<u64>());
        let good = postcard::to_stdvec(&good).unwrap();
        let array = fd_table::supply(supply(), || postcard::from_bytes::<Array<u64>>(&good));
        let stride = if padded { 64 } else { 8 };
        let fits = offset % 8 == 0 && len.checked_mul(stride).and_then(|size| size.checked_add(offset)).is_some_and(|end| end <= 100);
        prop_assert_eq!(array.is_ok(), fits);
        if let Ok(array) = array {
            array.fill(1);
        }
    }
}
