//! Large data in parts: counted once, written by one.

use mp_sync::{Error, LockError, Parts};

use crate::crew::{Board, Mode, join};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("parts_are_in_memory_once", parts_are_in_memory_once),
    ("a_part_of_the_dead_is_reported", a_part_of_the_dead_is_reported),
];

const PROCESSES: usize = 8;

/// What this process's share of the mapped memfds is, in KiB (`Pss` of `/proc/self/smaps`).
fn share() -> u32 {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut ours = false;
    let mut sum = 0;
    for line in smaps.lines() {
        if let Some(pss) = line.strip_prefix("Pss:").filter(|_| ours) {
            sum += pss.trim().trim_end_matches(" kB").parse::<u32>().unwrap();
        } else if line.contains('-') && line.contains(' ') && !line.starts_with(char::is_uppercase)
        {
            ours = line.contains("memfd:mp");
        }
    }
    sum
}

/// 64 MiB, or with `MP_BIG` 1 GiB.
fn parts_are_in_memory_once() {
    let mib = if std::env::var_os("MP_BIG").is_some() { 1024 } else { 64 };
    let parts = Parts::<u64>::new(mib << 17, PROCESSES).unwrap();
    let board = Board::new();
    let (same, all) = (parts.clone(), board.clone());
    join(Mode::Processes.spawn_each(PROCESSES, move |me| {
        same.claim(me).unwrap().fill(me as u64 + 1);
        all.add(0);
        all.until(0, PROCESSES as u32);
        // Everybody looks at everything, so everybody has it all mapped.
        let seen: u64 = (0..PROCESSES).map(|i| same.read(i).unwrap().iter().sum::<u64>()).sum();
        assert_eq!(seen, (mib << 14) as u64 * 36);
        all.add(1);
        all.until(1, PROCESSES as u32);
        all.set(10 + me, share());
        all.add(2);
        all.until(2, PROCESSES as u32);
    }));
    let total: u32 = (0..PROCESSES).map(|i| board.get(10 + i)).sum();
    let once = mib as u32 * 1024;
    assert!((once..once + once / 20).contains(&total), "{total} KiB for {once} KiB of data");
}

fn a_part_of_the_dead_is_reported() {
    let parts = Parts::<u8>::new(100, 2).unwrap();
    let (same, board) = (parts.clone(), Board::new());
    let all = board.clone();
    let holder = Mode::Processes.spawn(move || {
        let mut part = same.claim(1).unwrap();
        part[0] = 7;
        all.add(0);
        all.until(1, 1);
    });
    board.until(0, 1);
    assert!(matches!(parts.try_claim(1), Err(LockError::Failed(Error::WouldBlock))));
    assert!(parts.try_claim(0).is_ok());
    holder.kill();
    assert!(matches!(parts.read(1), Err(LockError::OwnerDied(part)) if part[0] == 7));
    assert!(matches!(parts.claim(1), Err(LockError::OwnerDied(_))));
    assert!(parts.claim(1).is_ok());
}
