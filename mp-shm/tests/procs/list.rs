use std::time::Duration;

use mp_shm::{Item, ShareableList};

use crate::child::{Child, race};

/// Story: a writer is killed anywhere in `set`: before, within or after its copy, holding the
/// claim. The next writer goes on at once, and no reader ever sees half of a value.
pub(crate) fn a_killed_writer_leaves_no_half_and_no_claim() {
    const LONG: usize = 20_000;
    let value = |letter: u8, len: usize| Item::Bytes(vec![letter; len]);
    let list = ShareableList::with_room(None, [value(b'a', 10), Item::None], LONG).unwrap();
    let name = list.name();
    let check = |list: &ShareableList| {
        let Item::Bytes(seen) = list.get(0).unwrap() else { panic!("not bytes") };
        assert!(seen.iter().all(|byte| *byte == seen[0]), "torn");
        // Each letter has its own length.
        assert_eq!(seen.len(), usize::from(seen[0] - b'a') * 900 + 10);
    };
    let (end, mut kills) = (race(), 0_u32);
    while !end.has_passed() {
        let writers: Vec<Child> = (0..3_u8)
            .map(|who| {
                Child::start(move || {
                    let list = ShareableList::attach(name).unwrap();
                    for n in (who..20).cycle() {
                        list.set(0, value(b'a' + n, usize::from(n) * 900 + 10)).unwrap();
                        check(&list);
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_micros(u64::from(kills * 7919 % 5000)));
        for writer in writers {
            check(&list);
            writer.kill();
            kills += 1;
            check(&list);
        }
        // The dead have the claim no more.
        list.set(1, i64::from(kills)).unwrap();
        assert_eq!(list.get(1), Ok(i64::from(kills).into()));
    }
    eprintln!("{kills} kills of writers, nothing torn, nothing stuck");
}
