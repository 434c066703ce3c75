use mp_manager::{Error, List};

use crate::world::manager;

#[test]
fn python_test_list() {
    let a: List<i32> = manager().list_of(0..10).unwrap();
    assert_eq!(a.to_vec().unwrap(), (0..10).collect::<Vec<_>>());
    let b: List<i32> = manager().list().unwrap();
    b.extend([1, 2, 3]).unwrap();
    assert_eq!(b.get(2).unwrap(), Some(3));
    assert_eq!(b.get_range(1..).unwrap(), [2, 3]);
    b.extend(b.to_vec().unwrap()).unwrap();
    assert_eq!(b.to_vec().unwrap(), [1, 2, 3, 1, 2, 3]);
    assert_eq!(a.splice(2..8, []).unwrap(), [2, 3, 4, 5, 6, 7]);
    assert_eq!(a.to_vec().unwrap(), [0, 1, 8, 9]);
    a.insert(4, &10).unwrap();
    assert!(matches!(a.insert(6, &0), Err(Error::OutOfRange { index: 6, len: 6 })));
    assert_eq!(a.remove(0).unwrap(), 0);
    assert_eq!(a.pop().unwrap(), Some(10));
    assert_eq!(a.position(&8).unwrap(), Some(1));
    assert!(!a.contains(&100).unwrap());
    a.reverse().unwrap();
    assert_eq!(a.to_vec().unwrap(), [9, 8, 1]);
    a.sort().unwrap();
    assert_eq!(a.to_vec().unwrap(), [1, 8, 9]);
    a.swap(0, 2).unwrap();
    a.truncate(2).unwrap();
    assert_eq!(a.iter().unwrap().collect::<Vec<_>>(), [9, 8]);
    a.clear().unwrap();
    assert_eq!((a.pop().unwrap(), a.len().unwrap()), (None, 0));
}

#[test]
fn a_list_in_a_list_stays_live() {
    let inner: List<i32> = manager().list().unwrap();
    let outer: List<List<i32>> = manager().list().unwrap();
    outer.push(&inner).unwrap();
    inner.push(&1).unwrap();
    let again = outer.get(0).unwrap().unwrap();
    assert_eq!(again, inner, "the same object");
    again.push(&2).unwrap();
    drop((inner, again));
    assert_eq!(outer.get(0).unwrap().unwrap().to_vec().unwrap(), [1, 2]);
}
