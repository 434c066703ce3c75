//! Memory with an arbitrary header, payload and seals, attached as everything that it could be.

#![no_main]

use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use mp_ipc::{ByteQueue, Message, decode};
use mp_shm::{Array, Frozen, Kind, Placed, Region, Value, type_hash};
use mp_sync::{Mutex, Parts, Semaphore};
use mp_sys::fd_table;
use rustix::fs::{SealFlags, fcntl_add_seals, ftruncate};
use rustix::io::pwrite;

#[derive(Arbitrary, Debug)]
struct Input {
    words: [u64; 8],
    /// Which of the words are as they should be.
    right: u8,
    kind: u8,
    element: u8,
    payload: Vec<u8>,
    /// Room after the payload; from 200 on only claimed.
    more: u8,
    seals: u8,
    place: (u64, u64, bool),
}

static HEADER: LazyLock<[u64; 8]> = LazyLock::new(|| {
    let mut bytes = [0; 64];
    rustix::io::pread(Region::create(Kind::LANE, 8, 0).unwrap(), &mut bytes, 0).unwrap();
    std::array::from_fn(|at| u64::from_ne_bytes(bytes[at * 8..][..8].try_into().unwrap()))
});

fuzz_target!(|input: Input| {
    let kinds = [*b"aren", *b"arra", *b"part", *b"froz", *b"queu", *b"spil", *b"lane"];
    let kind = kinds[usize::from(input.kind) % kinds.len()];
    let elements = [0, type_hash::<u64>(), type_hash::<u32>(), type_hash::<[u8; 0]>()];
    let element = elements[usize::from(input.element) % elements.len()];
    let room = match input.more {
        more @ ..200 => usize::from(more) * 64,
        200..=220 => 4096 - 64 + 4096 - input.payload.len().min(4096),
        _ => 1 << 40,
    };
    let (payload, len) = (&input.payload, input.payload.len() + room);
    let reserved = if room == 1 << 40 { 64 } else { 64 + len };
    let memory = mp_sys::memfd::create_open(c"attack", reserved as u64).unwrap();
    ftruncate(&memory, 64 + len as u64).unwrap();
    let mut header = *HEADER;
    header[1] = header[1] & 0xffff_ffff | u64::from(u32::from_le_bytes(kind)) << 32;
    (header[2], header[3]) = (len as u64, element);
    for at in (0..8).filter(|at| input.right >> at & 1 == 0) {
        header[at] = input.words[at];
    }
    let header: Vec<u8> = header.iter().flat_map(|word| word.to_ne_bytes()).collect();
    pwrite(&memory, &header, 0).unwrap();
    pwrite(&memory, payload, 64).unwrap();
    let seals = [SealFlags::SHRINK | SealFlags::GROW, SealFlags::WRITE];
    for (bit, seals) in seals.into_iter().enumerate() {
        if input.seals >> bit & 1 == 0 {
            fcntl_add_seals(&memory, seals).unwrap();
        }
    }

    let (offset, count, padded) = input.place;
    let supply = || vec![memory.try_clone().unwrap()];
    if let Ok(region) = Region::attach(memory.as_fd(), Kind::new(kind), element) {
        let mut bytes = Vec::new();
        region.window(0, len).unwrap().append(0, len, &mut bytes).unwrap();
        assert_eq!(bytes[..payload.len()], payload[..]);
    }
    if let Ok(frozen) = Frozen::<u32>::attach(memory.as_fd()) {
        let _ = frozen.iter().fold(0, |sum, element| sum ^ element);
    }
    let place = |hash: u64| postcard::to_stdvec(&(0_u32, offset, hash)).unwrap();
    let array = postcard::to_stdvec(&(0_u32, (offset, count, padded), type_hash::<u64>())).unwrap();
    fd_table::supply(supply(), || {
        if let Ok(array) = postcard::from_bytes::<Array<u64>>(&array) {
            let _ = array.iter().fold(0, |sum, element| sum ^ element);
        }
        let _ = postcard::from_bytes::<Value<u32>>(&place(type_hash::<u32>()));
        let _ = postcard::from_bytes::<Placed<AtomicU32>>(&place(type_hash::<AtomicU32>()));
        let _ =
            postcard::from_bytes::<Placed<[AtomicU64; 9]>>(&place(type_hash::<[AtomicU64; 9]>()));
        let _ = postcard::from_bytes::<Mutex<u64>>(&place(0));
        let _ = postcard::from_bytes::<Semaphore>(&place(0));
        let parts = postcard::to_stdvec(&(0_u32, offset, count)).unwrap();
        let _ = postcard::from_bytes::<Parts<u64>>(&parts);
    });
    let mut fds = supply();
    fds.extend([0, 2].map(mp_fuzz::descriptor));
    let bytes = postcard::to_stdvec(&(0_u32, 1_u32, 2_u32)).unwrap();
    if let Ok(queue) = decode::<ByteQueue>(Message { bytes, fds }) {
        // The locks are what they are: see broken_ring.rs in mp-ipc's tests.
        let _ = (queue.capacity(), queue.maxsize(), queue.is_closed(), format!("{queue:?}"));
    }
});
