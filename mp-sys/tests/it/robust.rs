use std::sync::atomic::Ordering;

use mp_sys::robust::{List, Node, OWNER_DIED, TID_MASK, WAITERS};

#[test]
fn every_thread_has_a_list_of_its_own() {
    let mine = List::current().unwrap();
    let theirs = std::thread::spawn(|| List::current().unwrap().tid()).join().unwrap();
    assert_eq!(mine.tid(), List::current().unwrap().tid());
    assert_ne!(mine.tid(), theirs);
    assert_eq!(mine.held(), 0);
}

#[test]
fn a_node_begins_as_zero_bytes() {
    assert_eq!((size_of::<Node>(), align_of::<Node>()), (40, 8));
    assert_eq!(Node::new().word().load(Ordering::Relaxed), 0);
    assert_eq!((WAITERS | OWNER_DIED) ^ TID_MASK, u32::MAX, "the bits do not overlap");
}
