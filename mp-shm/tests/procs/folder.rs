//! Story (complaint C24): in small containers `/dev/shm` is absent, or 64 KiB, or full, and a
//! program that filled it ends by SIGBUS. Each case runs this program in a mount namespace.

use std::process::Command;

use mp_shm::{Array, Error, Frozen, ShareableList, SharedMemory, Value};

/// Names the case to run instead of the tests.
pub(crate) const CASE: &str = "MP_SHM_FOLDER_CASE";

fn within(case: &str, mounts: &str) {
    let program = std::env::current_exe().unwrap();
    let can = Command::new("unshare").args(["-m", "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: mount namespaces are not allowed here");
        return;
    }
    let script = format!("{mounts} && exec '{}'", program.display());
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).env(CASE, case).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn tiny() {
    within("tiny", "mount -t tmpfs -o size=64k tmpfs /dev/shm");
}

pub(crate) fn full() {
    within(
        "full",
        "mount -t tmpfs -o size=8m tmpfs /dev/shm && head -c 8m /dev/zero > /dev/shm/other; true",
    );
}

pub(crate) fn absent() {
    within("absent", "mount -t tmpfs tmpfs /dev");
}

/// In the namespace: what needs no name works in any case.
pub(crate) fn run(case: &str) {
    Value::new(1_u64).unwrap().fetch_add(1);
    let large = Array::<u64>::new(1 << 20).unwrap();
    large.fill(7);
    assert_eq!(Frozen::from_slice(&large.to_vec()).unwrap()[12_345], 7);
    match case {
        "tiny" => {
            let error = SharedMemory::create(None, 100_000).unwrap_err();
            assert!(
                matches!(error, Error::NoRoom { needed: 100_064, free: 1..=65_536 }),
                "{error}"
            );
            let memory = SharedMemory::create(None, 60_000).unwrap();
            memory.write(0, &[1; 60_000]).unwrap();
            let error = ShareableList::with_room(None, [1.into()], 10_000).unwrap_err();
            assert!(matches!(error, Error::NoRoom { .. }), "{error}");
            drop(memory);
            ShareableList::with_room(None, [1.into()], 10_000).unwrap();
        }
        "full" => {
            let error = SharedMemory::create(None, 100).unwrap_err();
            assert_eq!(error, Error::NoRoom { needed: 164, free: 0 });
        }
        "absent" => {
            assert_eq!(SharedMemory::create(None, 100).unwrap_err(), Error::NoFolder);
            assert_eq!(SharedMemory::attach("any").unwrap_err(), Error::NoFolder);
            assert_eq!(SharedMemory::sweep().unwrap_err(), Error::NoFolder);
        }
        _ => panic!("no such case: {case}"),
    }
}
