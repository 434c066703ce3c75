use std::fs::File;
use std::os::fd::AsFd;

use mp_sys::{Errno, memfd, memory, ofd_lock};

#[test]
fn a_memfd_is_zero_and_can_neither_shrink_nor_grow() {
    let fd = memfd::create(c"test", 100).unwrap();
    assert_eq!(memfd::size(&fd), Ok(100));
    assert_eq!((memfd::is_size_fixed(&fd), memfd::is_frozen(&fd)), (Ok(true), Ok(false)));
    let file = File::from(fd.try_clone().unwrap());
    assert!(file.set_len(10).is_err() && file.set_len(1000).is_err());
    assert_eq!(memfd::freeze(&fd), Err(Errno::PERM), "sealed against sealing");
    assert_eq!(memfd::identity(fd.as_fd()), memfd::identity(file.as_fd()));
    assert_ne!(memfd::identity(fd.as_fd()), memfd::identity(File::open("/").unwrap().as_fd()));
}

#[test]
fn frozen_means_that_nobody_has_it_mapped_for_writing() {
    let fd = memfd::create_open(c"test", 4096).unwrap();
    let file = File::from(fd.try_clone().unwrap());
    assert_eq!((memfd::is_size_fixed(&fd), memfd::is_frozen(&fd)), (Ok(false), Ok(false)));
    rustix::io::pwrite(&file, b"x", 0).unwrap();
    assert_eq!(memfd::freeze(&fd), Ok(()));
    assert_eq!((memfd::is_size_fixed(&fd), memfd::is_frozen(&fd)), (Ok(true), Ok(true)));
    assert_eq!(rustix::io::pwrite(&file, b"x", 0), Err(Errno::PERM));
}

#[test]
fn what_is_no_memfd_or_no_size_is_refused() {
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    assert_eq!(memfd::is_frozen(&null), Err(Errno::INVAL));
    assert_eq!(memfd::is_size_fixed(&null), Err(Errno::INVAL));
    assert_eq!(memfd::freeze(&null), Err(Errno::INVAL));
    assert_eq!(memfd::create(c"test", 0).unwrap_err(), Errno::INVAL);
    // Not an attempt: the kernel would try, and kill.
    assert_eq!(memfd::create(c"test", 1 << 50).unwrap_err(), Errno::NOMEM);
    assert_eq!((memory::check(1 << 50), memory::check(1)), (Err(Errno::NOMEM), Ok(())));
}

#[test]
fn a_lock_belongs_to_the_open_file() {
    let path = std::env::temp_dir().join(format!("mp-sys-lock-{}", std::process::id()));
    let open = || File::options().create(true).append(true).read(true).open(&path).unwrap();
    let (one, two) = (open(), open());
    assert_eq!(ofd_lock::try_lock(&one, 3), Ok(true));
    assert_eq!(ofd_lock::try_lock(&one, 3), Ok(true), "again by the same");
    assert_eq!(ofd_lock::try_lock(&two, 3), Ok(false));
    assert_eq!((ofd_lock::is_locked(&two, 3), ofd_lock::is_locked(&one, 3)), (Ok(true), Ok(false)));
    assert_eq!(ofd_lock::try_lock(&two, 4), Ok(true), "another byte");
    let copy = one.try_clone().unwrap();
    drop(one);
    assert_eq!(ofd_lock::is_locked(&two, 3), Ok(true), "a duplicate is the same open file");
    drop(copy);
    assert_eq!(ofd_lock::try_lock(&two, 3), Ok(true));
    let read_only = File::open(&path).unwrap();
    assert_eq!(ofd_lock::try_lock(&read_only, 9), Err(Errno::BADF));
    std::fs::remove_file(path).unwrap();
}
