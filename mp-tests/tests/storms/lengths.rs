//! Lengths that promise more than there is, in whatever meets another process, where 64 MiB are
//! all that can be had: nothing large is allocated for a promise, or it would abort.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mp_ipc::{Address, Fd, JoinableQueue, Key, Message, Queue, Wire, connect_wire, decode, encode};
use mp_manager::Manager;
use mp_process::{FnId, PanicInfo, Process, Task, TaskError};
use mp_shm::{Array, Frozen, Kind, Region, ShareableList, SharedMemory, Value};
use mp_sync::{Mutex, Parts, RwLock};
use mp_sys::memfd;
use mp_sys::socket::{self, SendFlags};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::SOON;

const ROOM: u64 = 64 << 20;

/// From what is too much for [`ROOM`] to what is too much for any machine.
const LENGTHS: [u64; 6] = [1 << 24, 1 << 31, u32::MAX as u64, 1 << 40, i64::MAX as u64, u64::MAX];

/// Lets a process, or this one, have [`ROOM`] more than it has.
fn limit(pid: Option<i32>) {
    let name = pid.map_or("self".to_owned(), |pid| pid.to_string());
    let statm = fs::read_to_string(format!("/proc/{name}/statm")).unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let most = Some(pages * 4096 + ROOM);
    let limit = Rlimit { current: most, maximum: most };
    prlimit(pid.and_then(Pid::from_raw), Resource::As, limit).unwrap();
}

/// Each is done in a process of its own.
pub(crate) fn run() {
    for act in [values, handles, frames, letters] {
        Process::call(act).start().unwrap().join_timeout(5 * SOON).unwrap();
    }
    requests();
}

/// Who does allocate what was promised is seen.
pub(crate) fn control() {
    let believe = || {
        limit(None);
        let bytes = [number(LENGTHS[1]), vec![1; 40]].concat();
        let (len, _) = postcard::take_from_bytes::<u64>(&bytes).unwrap();
        std::hint::black_box(Vec::<u8>::with_capacity(len as usize));
    };
    let child = Process::call(believe).stderr(mp_process::Stdio::Null).start().unwrap();
    assert!(child.join_timeout(SOON).is_err());
}

/// A number as it stands in a message.
fn number(n: u64) -> Vec<u8> {
    postcard::to_stdvec(&n).unwrap()
}

fn refuses<T: DeserializeOwned>() {
    for bytes in LENGTHS.map(|len| [number(len), vec![1; 40]].concat()) {
        let value = decode::<T>(Message { bytes, fds: Vec::new() });
        assert!(value.is_err(), "{} of nothing", std::any::type_name::<T>());
    }
}

fn values() {
    limit(None);
    refuses::<Vec<u8>>();
    refuses::<Vec<u128>>();
    refuses::<Vec<[u64; 32]>>();
    refuses::<Vec<Vec<String>>>();
    refuses::<String>();
    refuses::<Box<str>>();
    refuses::<PathBuf>();
    refuses::<OsString>();
    refuses::<serde_bytes::ByteBuf>();
    refuses::<VecDeque<u16>>();
    refuses::<HashMap<u64, String>>();
    refuses::<BTreeMap<u64, [u64; 32]>>();
    refuses::<HashSet<u32>>();
    refuses::<Vec<Fd>>();
    refuses::<Vec<Queue<u8>>>();
    refuses::<Vec<(FnId, TaskError, PanicInfo)>>();
    refuses::<(Address, Key)>();
    refuses::<Task>();
}

/// A handle in which each number in turn is another one: it is refused, or is a handle.
fn bends<T: Serialize + DeserializeOwned>(handle: &T) {
    let Message { bytes, fds } = encode(handle).unwrap();
    for (at, len) in (0..bytes.len()).flat_map(|at| LENGTHS.map(|len| (at, len))) {
        let bytes = [&bytes[..at], &number(len), &bytes[at + 1..]].concat();
        let fds = fds.iter().map(|fd| fd.try_clone().unwrap()).collect();
        let _ = decode::<T>(Message { bytes, fds });
    }
}

fn handles() {
    // A terabyte that is not there.
    let sparse = memfd::create_open(c"sparse", 1).unwrap();
    rustix::fs::ftruncate(&sparse, 1 << 40).unwrap();
    let list = ShareableList::create(None, ["one".into(), "two".into()]).unwrap();
    limit(None);
    bends(&Array::<u64>::new(10).unwrap());
    bends(&Value::new(1_u64).unwrap());
    bends(&Frozen::from_slice(&[1_u32; 10]).unwrap());
    bends(&SharedMemory::create(None, 100).unwrap());
    bends(&list);
    bends(&Region::create(Kind::LANE, 100, 0).unwrap());
    bends(&Mutex::new(1_u64).unwrap());
    bends(&RwLock::new([1_u8; 100]).unwrap());
    bends(&Parts::<u64>::new(10, 2).unwrap());
    bends(&Queue::<String>::new(4).unwrap());
    bends(&JoinableQueue::<String>::new(4).unwrap());
    assert!(Region::attach(sparse.as_fd(), Kind::LANE, 0).is_err());
    assert!(Frozen::<u64>::attach(sparse.as_fd()).is_err());
}

/// A frame that is cut off, without a limit of the receiver's own.
fn frames() {
    limit(None);
    for len in LENGTHS {
        for fds in [0, u32::MAX] {
            let (mut raw, end) = UnixStream::pair().unwrap();
            let header = [&len.to_le_bytes()[..], &fds.to_le_bytes(), &[0; 4], &[7; 100]].concat();
            raw.write_all(&header).unwrap();
            drop(raw);
            assert!(Wire::from(OwnedFd::from(end)).recv(None).is_err());
        }
    }
}

/// What this program is to do as a child of somebody else: it ends as a child does without an order.
fn letters() {
    let sparse = memfd::create_open(c"sparse", 1).unwrap();
    rustix::fs::ftruncate(&sparse, 1 << 40).unwrap();
    for (len, long) in LENGTHS.into_iter().flat_map(|len| [(len, 0_u8), (len, 1)]) {
        for body in [len, 108] {
            let (here, there) = socket::packet_pair().unwrap();
            let header = [&[1, long, 0, 0, 0, 0, 0, 0][..], &body.to_le_bytes()].concat();
            let order = [(len as u32).to_le_bytes(), [0xff; 4]].concat();
            let parts = [&header[..], &order, &[1; 100]].map(IoSlice::new);
            let fds = vec![sparse.as_fd(); usize::from(long)];
            socket::send(&here, &parts, &fds, SendFlags::DONTWAIT).unwrap();
            let inode = File::from(there.try_clone().unwrap()).metadata().unwrap().ino();
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -v 131072; exec \"$0\""]);
            shell.arg(std::env::current_exe().unwrap()).stdin(Stdio::from(there));
            let status = shell.env("MP_PROCESS_CHILD", format!("main:0:{inode}")).status().unwrap();
            assert_eq!(status.code(), Some(1), "{len} {long} {body}");
        }
    }
}

/// A manager's server gives room for what has come, and goes on.
fn requests() {
    let (manager, key) = (Manager::start().unwrap(), Key::random().unwrap());
    let any = Address::Tcp(([127, 0, 0, 1], 0).into());
    let address = manager.serve(&any, &key).unwrap();
    let list = manager.list_of([1, 2, 3]).unwrap();
    limit(manager.pid());
    let request = |body: &[u8]| [&(body.len() as u32).to_le_bytes(), body].concat();
    for len in LENGTHS {
        // A request of that length; one in which each number in turn is that one.
        let mut attacks = vec![[&(len as u32).to_le_bytes()[..], &[1; 100]].concat()];
        attacks.extend((0..6).map(|at| {
            let body = [&[2, 1, 0, 1, 1, 1][..at], &number(len), &[1; 40]].concat();
            request(&body)
        }));
        for kind in 0..18 {
            let init = [&[1, kind, 0, 1][..], &number(len), &[1; 40]].concat();
            attacks.push(request(&init));
        }
        for attack in attacks {
            let wire = connect_wire(&address, Some(&key), None).unwrap();
            let mut stream = UnixStream::from(OwnedFd::from(wire));
            stream.write_all(&[request(&[0, 1, 0]), attack].concat()).unwrap();
        }
        assert_eq!(list.len().unwrap(), 3);
    }
    // What came last has been looked at, too.
    assert_eq!(manager.list_of([1; 10]).unwrap().len().unwrap(), 10);
}
