use std::fs::File;
use std::os::unix::fs::FileExt;

use mp_shm::{Error, Item, ShareableList};
use proptest::prelude::*;

use crate::travel::travel;

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        Just(Item::None),
        any::<bool>().prop_map(Item::Bool),
        any::<i64>().prop_map(Item::Int),
        any::<f64>().prop_map(Item::Float),
        ".{0,20}".prop_map(Item::Str),
        "[\\x00ä日]{0,8}".prop_map(Item::Str),
        prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..40).prop_map(Item::Bytes),
    ]
}

#[test]
fn a_list_does_what_pythons_does() {
    let items: [Item; 7] = [
        "howdy".into(),
        b"HoWdY".into(),
        (-273.154).into(),
        100.into(),
        Item::None,
        true.into(),
        42.into(),
    ];
    let list = ShareableList::create(None, items.clone()).unwrap();
    assert_eq!((list.len(), list.is_empty()), (7, false));
    assert_eq!(list.to_vec().unwrap(), items);
    assert_eq!(list.iter().next_back(), Some(Ok(42.into())), "what Python calls list[-1]");
    assert_eq!(list.count(42), Ok(1));
    assert_eq!(list.count(b"adios"), Ok(0));
    assert_eq!(list.index_of(100), Ok(Some(3)));
    assert_eq!(list.index_of("none"), Ok(None));
    list.set(3, 42).unwrap();
    assert_eq!(list.count(42), Ok(2));
    list.set(3, "some").unwrap();
    assert_eq!(list.get(3), Ok("some".into()), "another type");
    assert_eq!(list.set(7, 1), Err(Error::Index { index: 7, len: 7 }));

    let too_long = list.set(4, "a text of more than eight bytes").unwrap_err();
    assert_eq!(too_long, Error::TooLong { len: 31, room: 8 });
    assert!(too_long.to_string().contains("exceeds the available storage"));
    assert_eq!((list.get(3), list.get(4)), (Ok("some".into()), Ok(Item::None)), "untouched");
    assert_eq!(list.get(5), Ok(true.into()));

    let copy = ShareableList::create(None, list.to_vec().unwrap()).unwrap();
    assert_ne!(copy.name(), list.name());
    assert_eq!(copy.to_vec(), list.to_vec());
    let empty = ShareableList::create(None, []).unwrap();
    assert_eq!(ShareableList::attach(empty.name()).unwrap().len(), 0);
}

#[test]
fn a_list_travels_by_its_name() {
    let list = ShareableList::with_room(None, [Item::None, Item::None], 100).unwrap();
    let other = travel(&list);
    other.set(1, "a text of more than eight bytes").unwrap();
    assert_eq!(list.get(1), Ok("a text of more than eight bytes".into()));
    list.unlink().unwrap();
    assert_eq!(ShareableList::attach(list.name()).unwrap_err(), Error::NotFound);
    assert_eq!(other.get(0), Ok(Item::None), "those who have it keep it");
}

#[test]
fn a_reader_sees_one_of_the_written_values() {
    let (all, none) = (vec![0xff_u8; 4000], vec![0_u8; 3000]);
    let list = ShareableList::with_room(None, [none.clone().into()], 4000).unwrap();
    std::thread::scope(|scope| {
        let writers = [&all, &none].map(|value| {
            let list = &list;
            scope.spawn(move || (0..2_000).for_each(|_| list.set(0, value.clone()).unwrap()))
        });
        while !writers.iter().all(|writer| writer.is_finished()) {
            let Item::Bytes(seen) = list.get(0).unwrap() else { panic!("not bytes") };
            assert!(seen == all || seen == none, "torn: {} bytes", seen.len());
        }
    });
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(
        items in prop::collection::vec(item(), 1..8),
        sets in prop::collection::vec((0_usize..8, item()), 0..20),
    ) {
        let mut model: Vec<Item> = items.clone();
        let rooms: Vec<usize> = items.iter().map(|item| len(item).max(8).next_multiple_of(8)).collect();
        let list = ShareableList::create(None, items).unwrap();
        let other = ShareableList::attach(list.name()).unwrap();
        for (index, item) in sets {
            let Some(room) = rooms.get(index) else { continue };
            let fits = len(&item) <= *room;
            prop_assert_eq!(other.set(index, item.clone()).is_ok(), fits);
            if fits {
                model[index] = item;
            }
        }
        for (index, expected) in model.iter().enumerate() {
            let found = list.get(index).unwrap();
            // NaN is not equal to itself, but its bits are.
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        writes in prop::collection::vec((0_u64..300, any::<[u8; 8]>()), 1..6),
        whole: bool,
    ) {
        let list = ShareableList::create(None, ["text".into(), 1.into(), b"bytes".into()]).unwrap();
        let file = File::options().write(true).open(format!("/dev/shm/mp.{}", list.name())).unwrap();
        for (at, bytes) in writes {
            // Not the claim: whoever writes there can block a list, which is not memory unsafety.
            let at = if whole { 64 + at / 8 * 8 } else { 64 + at };
            if !(65..112 + 64).contains(&at) && at + 8 <= 64 + 64 + 24 + 3 * 24 {
                file.write_all_at(&bytes, at).unwrap();
            }
        }
        let _ = list.to_vec();
        if let Ok(other) = ShareableList::attach(list.name()) {
            let _ = other.to_vec();
        }
    }
}

fn len(item: &Item) -> usize {
    match item {
        Item::None => 0,
        Item::Bool(_) => 1,
        Item::Int(_) | Item::Float(_) => 8,
        Item::Str(text) => text.len(),
        Item::Bytes(bytes) => bytes.len(),
    }
}
