use mp_manager::{Error, Manager, Namespace};

use crate::world::manager;

#[test]
fn python_test_namespace() {
    let n: Namespace = manager().namespace().unwrap();
    n.set("name", "Bob").unwrap();
    n.set("job", "Builder").unwrap();
    n.set("hidden", &1_u8).unwrap();
    assert_eq!(n.names().unwrap(), ["name", "job", "hidden"]);
    assert!(n.remove("job").unwrap());
    assert!(!n.remove("job").unwrap());
    assert_eq!(n.get::<String>("name").unwrap().as_deref(), Some("Bob"));
    n.update_in::<u8>("hidden", |n| n.map(|n| n + 1)).unwrap();
    assert_eq!(n.get::<u8>("hidden").unwrap(), Some(2));
    assert!(matches!(n.get::<u16>("hidden"), Err(Error::Mismatch { .. })));
}

#[test]
fn a_namespace_holds_proxies_too() {
    let n = manager().namespace().unwrap();
    n.set("list", &manager().list_of([1]).unwrap()).unwrap();
    assert!(matches!(n.get::<u8>("list"), Err(Error::Mismatch { .. })));
    let list: mp_manager::List<i32> = n.get("list").unwrap().unwrap();
    assert_eq!(list.to_vec().unwrap(), [1]);
}

#[test]
fn python_test_value_and_array() {
    let value = manager().value(&5_i32).unwrap();
    value.set(&6).unwrap();
    assert_eq!((value.get().unwrap(), value.replace(&7).unwrap()), (6, 6));
    let array = manager().array([0, 1, 2, 3, 4]).unwrap();
    array.set(0, &9).unwrap();
    assert_eq!(array.get_range(..2).unwrap(), [9, 1]);
    assert!(matches!(array.set(5, &0), Err(Error::OutOfRange { index: 5, len: 5 })));
    assert!(matches!(array.write(4, &[1, 2]), Err(Error::OutOfRange { index: 6, len: 5 })));
    assert_eq!(array.to_vec().unwrap(), [9, 1, 2, 3, 4]);
}

#[test]
fn python_test_set() {
    let a = manager().set::<char>().unwrap();
    a.extend("abc".chars().collect::<Vec<_>>().iter()).unwrap();
    assert!(!a.insert(&'a').unwrap());
    assert!(a.remove(&'b').unwrap());
    assert!(!a.contains(&'b').unwrap());
    assert_eq!(a.remove_many(&['a', 'z']).unwrap(), 1);
    assert_eq!(a.pop_last().unwrap(), Some('c'));
    assert_eq!(a.to_set().unwrap().len(), 0);
}

#[test]
fn what_is_too_big_is_told_and_nothing_breaks() {
    let manager = Manager::builder().request_limit(1000).start().unwrap();
    let dict = manager.dict::<u8, Vec<u8>>().unwrap();
    let too_big = dict.insert(&1, &vec![0; 1000]);
    assert!(matches!(too_big, Err(Error::TooBig { max: 1000, .. })), "{too_big:?}");
    dict.insert(&1, &vec![0; 900]).unwrap();
    assert_eq!(dict.get(&1).unwrap().unwrap().len(), 900);
}

#[test]
fn a_proxy_is_no_key_and_no_file() {
    let list = manager().list::<u8>().unwrap();
    let dict = manager().dict::<mp_manager::List<u8>, u8>().unwrap();
    assert!(matches!(dict.set(&list, &1), Err(Error::Proxy(_))));
}

#[test]
fn what_std_has_too() {
    let dict = manager().dict::<u8, u8>().unwrap();
    dict.extend((0..10).map(|n| (n, n * n))).unwrap();
    dict.retain(|key, value| key % 2 == 0 && *value < 50).unwrap();
    assert_eq!(dict.keys().unwrap(), [0, 2, 4, 6]);
    assert_eq!(dict.drain().unwrap(), [(0, 0), (2, 4), (4, 16), (6, 36)]);
    assert!(dict.is_empty().unwrap() && dict.drain().unwrap().is_empty());

    let set = manager().set::<u8>().unwrap();
    set.extend(&[1_u8, 2, 3]).unwrap();
    set.retain(|n| *n != 2).unwrap();
    assert_eq!(set.drain().unwrap(), [1, 3]);

    let list = manager().list_of(["ccc", "a", "bb"].map(String::from)).unwrap();
    list.sort_by_key(String::len).unwrap();
    assert_eq!(list.drain(1..).unwrap(), ["bb", "ccc"]);
    assert_eq!(list.to_vec().unwrap(), ["a"]);
}

#[test]
fn retain_goes_with_the_changes_of_others() {
    let dict = manager().dict::<u32, u32>().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..300).for_each(|n| assert!(!dict.set(&n, &n).unwrap())));
        scope.spawn(|| (0..20).for_each(|_| dict.retain(|key, _| key % 3 > 0).unwrap()));
    });
    dict.retain(|key, _| key % 3 > 0).unwrap();
    let expected: Vec<u32> = (0..300).filter(|n| n % 3 > 0).collect();
    assert_eq!(dict.keys().unwrap(), expected);
}
