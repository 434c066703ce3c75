//! A worker that writes anything anywhere into its lane: the pool's end must put up with it.

#![no_main]
#![allow(dead_code, reason = "private there: only one end of the lane is of interest")]

use libfuzzer_sys::fuzz_target;

#[path = "../../mp-pool/src/bell.rs"]
mod bell;
#[path = "../../mp-pool/src/lane.rs"]
mod lane;
#[path = "../../mp-pool/src/pool_end.rs"]
mod pool_end;
#[path = "../../mp-pool/src/sys.rs"]
mod sys;

/// In place of the pool's own, which the lane gives out as its public face.
mod sides {
    pub struct Fate;
    pub struct PoolSide;
    pub struct Reply;
    pub struct Ticket;
    pub struct WorkerSide;
    pub fn lane() {}
}

/// In place of the pool's own.
#[derive(Debug)]
pub struct Error;

impl From<mp_shm::Error> for Error {
    fn from(_: mp_shm::Error) -> Error {
        Error
    }
}

impl Error {
    fn os(_: &'static str) -> impl FnOnce(mp_sys::Errno) -> Error {
        |_| Error
    }
}

fuzz_target!(|steps: Vec<(u8, u16, u64, u8)>| {
    const CAPACITY: usize = 4096;
    let lane = lane::Lane::create(CAPACITY).unwrap();
    let memory = lane.region.window(0, lane.region.len()).unwrap();
    let (wire, _theirs) = mp_sys::socket::packet_pair().unwrap();
    let mut end = pool_end::PoolEnd::new(lane, wire);
    let mut body = Vec::new();
    for (op, at, value, small) in steps {
        match op % 10 {
            0..4 => {
                // The worker's words, or any.
                let at = if op & 64 == 0 { usize::from(at) % 6 * 8 } else { usize::from(at) & !7 };
                let value = if small < 200 { value % (2 * CAPACITY as u64) } else { value };
                let _ = memory.store(at, value);
            }
            4 => {
                let frame = lane::Frame {
                    len: u32::from(at),
                    flags: u16::from(small),
                    fds: 0,
                    id: value,
                    extra: value,
                };
                if end.has_room(lane::Frame::span(usize::from(at))) && end.has_claim() {
                    end.push(frame, &vec![7; usize::from(at)]);
                }
            }
            5 => drop(end.take_back(value)),
            6 => {
                drop((end.claim(value), end.state(), end.since(), end.is_empty(), end.made_room()))
            }
            7 => {
                end.want_room();
                end.commit();
                end.make_room();
            }
            8 => drop(end.leftovers(&mut body)),
            _ => drop(end.next_reply(&mut body)),
        }
        let _ = (end.has_reply(), end.recv_fds());
        assert!(body.len() <= CAPACITY, "a reply is no longer than its ring");
        body.clear();
    }
});
