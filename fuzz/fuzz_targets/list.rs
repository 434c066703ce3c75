//! A file in `/dev/shm` with an arbitrary payload, attached as memory and as a list.

#![no_main]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use libfuzzer_sys::fuzz_target;
use mp_shm::{ShareableList, SharedMemory};

fuzz_target!(|input: (bool, [u64; 4], u8, Vec<u8>)| {
    let (is_list, slots, count, payload) = input;
    let memory = SharedMemory::create(None, 64 + 8 * 4 + payload.len()).unwrap();
    let path = format!("/dev/shm/mp.{}", memory.name());
    let file = OpenOptions::new().write(true).open(path).unwrap();
    if is_list {
        file.write_all_at(b"list", 12).unwrap();
    }
    // The count, no claim, the slots' rooms (small ones mostly), and what follows.
    file.write_all_at(&u64::from(count).to_le_bytes(), 64).unwrap();
    for (at, room) in slots.iter().enumerate() {
        let room = if room % 4 == 0 { *room } else { room % 8 * 8 };
        file.write_all_at(&room.to_le_bytes(), 64 + 64 + at as u64 * 8).unwrap();
    }
    file.write_all_at(&payload, 64 + 64 + 32).unwrap();

    let _ = SharedMemory::attach(memory.name());
    let Ok(list) = ShareableList::attach(memory.name()) else { return };
    let _ = (list.to_vec(), list.count("x"), format!("{list:?}"));
    for index in 0..list.len() {
        if list.set(index, "text").is_ok() {
            assert_eq!(list.get(index), Ok("text".into()));
        }
    }
});
