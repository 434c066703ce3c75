use mp_manager::Dict;
use serde::{Deserialize, Serialize};

use crate::world::manager;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Key {
    Int(i64),
    Text(String),
    Float(f64),
}

#[test]
fn keys_of_three_kinds_live_in_one_dict() {
    let dict: Dict<Key, Option<String>> = manager().dict().unwrap();
    dict.insert(&Key::Int(1), &Some("1".into())).unwrap();
    dict.insert(&Key::Text("2".into()), &Some("two".into())).unwrap();
    dict.insert(&Key::Float(0.25), &None).unwrap();
    let keys = [Key::Int(1), Key::Text("2".into()), Key::Float(0.25)];
    assert_eq!(dict.keys().unwrap(), keys, "in the order of insertion");
    assert_eq!(dict.get(&Key::Float(0.25)).unwrap(), Some(None));
}

#[test]
fn python_test_dict() {
    let dict: Dict<u32, String> = manager().dict().unwrap();
    let indices: Vec<u32> = (65..70).collect();
    let chr = |i: u32| char::from_u32(i).unwrap().to_string();
    dict.extend(indices.iter().map(|&i| (i, chr(i)))).unwrap();
    assert_eq!(dict.to_vec().unwrap(), indices.iter().map(|&i| (i, chr(i))).collect::<Vec<_>>());
    assert_eq!(dict.keys().unwrap(), indices);
    assert_eq!(dict.values().unwrap(), indices.iter().map(|&i| chr(i)).collect::<Vec<_>>());
    assert_eq!(dict.remove(&65).unwrap(), Some("A".into()));
    assert_eq!(dict.remove(&65).unwrap(), None);
    assert_eq!(dict.pop_last().unwrap(), Some((69, "E".into())));
    assert_eq!(dict.get_or_insert(&66, &"other".into()).unwrap(), "B");
    assert_eq!(dict.get_or_insert(&99, &"new".into()).unwrap(), "new");
    assert_eq!(dict.get_many(&[66, 1, 99]).unwrap(), [Some("B".into()), None, Some("new".into())]);
    assert_eq!(dict.remove_many(&[66, 1]).unwrap(), 1);
    dict.clear().unwrap();
    assert!(dict.is_empty().unwrap());
}

#[test]
fn updates_by_many_threads_are_all_there() {
    let dict: Dict<String, u64> = manager().dict().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    dict.update_in("n", |n| Some(n.unwrap_or(0) + 1)).unwrap();
                }
            });
        }
    });
    assert_eq!(dict.get("n").unwrap(), Some(800));
}

#[test]
fn a_hundred_thousand_pairs_go_at_once() {
    let dict: Dict<u32, u64> = manager().dict().unwrap();
    assert_eq!(dict.extend((0..100_000).map(|i| (i, u64::from(i) * 3))).unwrap(), 100_000);
    assert_eq!(dict.len().unwrap(), 100_000);
    assert_eq!(dict.get(&77_777).unwrap(), Some(233_331));
    assert_eq!(dict.to_map().unwrap().len(), 100_000);
}
