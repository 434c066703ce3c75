//! Story (complaint C25): objects that keep a descriptor or a mapping for each of their lives.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;

use mp_shm::{Array, Frozen, Kind, Placed, Region, ShareableList, SharedMemory, Value};
use mp_sys::fd_table;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn counts() -> (usize, usize) {
    let fds = fs::read_dir("/proc/self/fd").unwrap().count();
    // The heap may grow, and the kernel may merge or split its mappings; ours are all shared
    // memory, by name.
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let ours = |line: &&str| line.contains("/memfd:mp") || line.contains("/dev/shm/mp.");
    (fds, maps.lines().filter(ours).count())
}

fn travel<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let (bytes, fds) = fd_table::collect(|| postcard::to_stdvec(value).unwrap());
    fd_table::supply(fds, || postcard::from_bytes(&bytes).unwrap())
}

fn cycles(what: &'static str, results: &mut BTreeMap<&'static str, bool>, cycle: impl Fn()) {
    cycle();
    let before = counts();
    (0..10_000).for_each(|_| cycle());
    let after = counts();
    // An arena is in use at any time; the first cycle may have begun it.
    let same = before.0.abs_diff(after.0) <= 1 && before.1.abs_diff(after.1) <= 1;
    if !same {
        eprintln!("{what}: {before:?} became {after:?}");
    }
    results.insert(what, same);
}

pub(crate) fn ten_thousand_cycles_leave_nothing() {
    let mut results = BTreeMap::new();
    let all = &mut results;
    let kind = Kind::new(*b"leak");
    cycles("Region", all, || drop(travel(&Region::create(kind, 100, 0).unwrap())));
    cycles("Placed", all, || {
        drop(travel(&Placed::<std::sync::atomic::AtomicU64>::zeroed().unwrap()));
    });
    cycles("Value", all, || {
        travel(&Value::new(1_u8).unwrap()).fetch_add(1);
    });
    cycles("padded Value", all, || drop(Value::padded(0_u64).unwrap()));
    cycles("small Array", all, || drop(travel(&Array::<u32>::new(100).unwrap()).slice(5..)));
    cycles("large Array", all, || drop(travel(&Array::<u32>::new(10_000).unwrap()).to_vec()));
    cycles("Frozen", all, || drop(travel(&Frozen::from_slice(&[1_u8; 100]).unwrap())));
    cycles("FrozenBuilder", all, || drop(Frozen::<u8>::builder(100).unwrap()));
    cycles("SharedMemory", all, || drop(travel(&SharedMemory::create(None, 100).unwrap())));
    cycles("ShareableList", all, || {
        travel(&ShareableList::create(None, [1.into()]).unwrap()).set(0, 2).unwrap();
    });
    cycles("errors", all, || {
        assert!(SharedMemory::attach("nobody has made this").is_err());
        assert!(SharedMemory::create(None, 1 << 45).is_err());
        assert!(Region::create(kind, 1 << 45, 0).is_err());
        assert!(Frozen::<u16>::attach(fs::File::open("/dev/null").unwrap().as_fd()).is_err());
    });
    assert!(results.values().all(|same| *same), "{results:?}");
}
