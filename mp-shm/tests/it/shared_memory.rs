use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use mp_shm::{Errno, Error, ShareableList, SharedMemory};
use proptest::prelude::*;

use crate::travel::travel;

fn file(name: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/mp.{name}"))
}

/// A name that no other run of the tests has.
pub(crate) fn unique(what: &str) -> String {
    format!("test-{what}-{}", std::process::id())
}

#[test]
fn two_handles_see_each_other_and_the_exact_size() {
    let name = unique("basics");
    let memory = SharedMemory::create(Some(&name), 512).unwrap();
    assert_eq!((memory.name(), memory.size()), (name.as_str(), 512));
    let other = SharedMemory::attach(&name).unwrap();
    assert_eq!(other.size(), 512);
    other.write(0, b"from there").unwrap();
    let mut bytes = [0; 10];
    memory.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"from there");
    assert!(memory.write(505, b"too long").is_err());
    memory.word::<AtomicU64>(504).unwrap().fetch_add(5, Ordering::Relaxed);
    assert_eq!(other.load(504), Ok(5));
    assert_eq!(fs::metadata(file(&name)).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn the_name_goes_with_the_creator_and_the_bytes_stay() {
    let memory = SharedMemory::create(None, 10).unwrap();
    let name = memory.name().to_owned();
    let (clone, other) = (memory.clone(), travel(&memory));
    drop(memory);
    drop(SharedMemory::attach(&name).unwrap());
    assert!(file(&name).exists(), "neither a clone's nor an attacher's drop removes it");
    assert_eq!(other.unlink(), Err(Error::NotCreator));
    clone.write(0, b"kept").unwrap();
    assert_eq!(clone.unlink(), Ok(()));
    assert!(!file(&name).exists());
    assert_eq!(clone.unlink(), Err(Error::NotFound), "the second time");
    let mut bytes = [0; 4];
    other.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    assert_eq!(SharedMemory::attach(&name).unwrap_err(), Error::NotFound);
    // The name is free for another, which the first one's end leaves alone.
    let next = SharedMemory::create(Some(&name), 10).unwrap();
    drop((clone, other));
    assert!(file(next.name()).exists());
}

#[test]
fn a_name_is_taken_once() {
    let name = unique("twice");
    let first = SharedMemory::create(Some(&name), 1).unwrap();
    assert_eq!(SharedMemory::create(Some(&name), 1).unwrap_err(), Error::Exists);
    assert!(file(&name).exists(), "failing removes nothing");
    drop(first);
    SharedMemory::create(Some(&name), 1).unwrap();
}

#[test]
fn a_bad_name_is_an_error_and_never_cut_short() {
    let refused = |name: &str| {
        let created = SharedMemory::create(Some(name), 1).unwrap_err();
        assert_eq!(SharedMemory::attach(name).unwrap_err(), created);
        created
    };
    assert_eq!(refused(""), Error::NameLength { len: 0, max: 252 });
    assert_eq!(refused(&"n".repeat(253)), Error::NameLength { len: 253, max: 252 });
    assert_eq!(refused("a/b"), Error::NameByte { at: 1, byte: b'/' });
    assert_eq!(refused("ab\0"), Error::NameByte { at: 2, byte: 0 });
    let longest = format!("{:n>252}", unique("long"));
    for name in [longest.as_str(), ":", "line\nbreak", "..", "ünï"] {
        let name = &name.replace(':', &format!(":{}", std::process::id()));
        let memory = SharedMemory::create(Some(name), 1).unwrap();
        assert_eq!(SharedMemory::attach(memory.name()).unwrap().name(), name);
    }
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let attach = |name: &str| SharedMemory::attach(name).unwrap_err();
    let name = unique("strange");
    fs::write(file(&name), [0; 10]).unwrap();
    assert_eq!(attach(&name), Error::Size { expected: 64, found: 10 });
    fs::write(file(&name), [7; 4096]).unwrap();
    assert!(matches!(attach(&name), Error::Magic { .. }));
    assert_eq!(SharedMemory::create(Some(&name), 1).unwrap_err(), Error::Exists);
    assert!(!SharedMemory::sweep().unwrap().contains(&name));
    fs::remove_file(file(&name)).unwrap();
    fs::create_dir(file(&name)).unwrap();
    assert!(matches!(attach(&name), Error::Os { errno: Errno::ISDIR, .. }));
    fs::remove_dir(file(&name)).unwrap();
    std::os::unix::fs::symlink("/proc/self/exe", file(&name)).unwrap();
    assert!(matches!(attach(&name), Error::Os { errno: Errno::LOOP, .. }));
    fs::remove_file(file(&name)).unwrap();
    let list = ShareableList::create(Some(&name), [1.into()]).unwrap();
    assert!(matches!(attach(&name), Error::Kind { .. }));
    assert_eq!(list.get(0), Ok(1.into()), "a failed attach never removes");
}

#[test]
fn too_large_is_an_error_when_it_is_made() {
    assert_eq!(SharedMemory::create(None, 0).unwrap_err(), Error::Empty);
    for size in [usize::MAX, isize::MAX as usize, 1 << 45] {
        assert!(matches!(SharedMemory::create(None, size), Err(Error::NoRoom { .. })));
    }
}

proptest! {
    #[test]
    fn no_header_makes_an_attacher_panic(head: [u8; 64], keep in 0_usize..5, len in 0_usize..200) {
        let name = unique("header");
        let memory = SharedMemory::create(Some(&name), 100).unwrap();
        // Some of a good header, so that the later checks are met too.
        let mut bytes = fs::read(file(&name)).unwrap();
        bytes[keep * 16..64].copy_from_slice(&head[keep * 16..]);
        drop(memory);
        fs::write(file(&name), &bytes[..bytes.len().min(len)]).unwrap();
        let _ = SharedMemory::attach(&name);
        let _ = ShareableList::attach(&name);
        let _ = fs::remove_file(file(&name));
    }
}
