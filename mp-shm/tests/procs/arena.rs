use std::collections::HashSet;

use mp_shm::Value;

use crate::child::Child;

/// Story: a forked child inherits the arena that its parent is filling. If each went on from its
/// own idea of where it ends, both would give the same room to different values.
pub(crate) fn parent_and_child_never_take_the_same_room() {
    const EACH: u32 = 1_000;
    let inherited = Value::new(0_u32).unwrap();
    let make = |who: u32| -> Vec<Value<u32>> {
        (0..EACH).map(|n| Value::new(who * EACH + n).unwrap()).collect()
    };
    let children: Vec<Child> = (1..5)
        .map(|who| {
            let inherited = inherited.clone();
            Child::start(move || {
                let values = make(who);
                inherited.fetch_add(1);
                // All are made, and all go on living, before anybody looks.
                crate::child::until(|| inherited.load() == 5);
                assert!(values.iter().zip(who * EACH..).all(|(value, n)| value.load() == n));
            })
        })
        .collect();
    let mine = make(0);
    inherited.fetch_add(1);
    children.into_iter().for_each(Child::join);
    assert!(mine.iter().zip(0..).all(|(value, n)| value.load() == n));
    let places: HashSet<usize> = mine.iter().map(|value| (&raw const **value).addr()).collect();
    assert_eq!(places.len(), EACH as usize);
}
