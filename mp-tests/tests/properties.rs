//! Rooms together against a model of a few lines: whatever the items, however they are shared out.

use mp_ipc::Queue;
use mp_pool::Pool;
use mp_process::Process;
use mp_shm::Value;
use mp_sync::Mutex;
use proptest::prelude::*;

mp_process::init_tests!();

/// Moves all that it gets to the sum, under the lock and beside it.
fn add_up((queue, locked, total): (Queue<u32>, Mutex<u64>, Value<u64>)) -> usize {
    let mut count = 0;
    while let Ok(item) = queue.get() {
        *locked.lock().unwrap() += u64::from(item);
        total.fetch_add(u64::from(item));
        count += 1;
    }
    count
}

fn square(x: u32) -> u64 {
    u64::from(x) * u64::from(x)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_item_is_counted_once(
        items in prop::collection::vec(any::<u32>(), 0..300),
        consumers in 1_usize..4,
        places in 1_usize..20,
    ) {
        let queue = Queue::new(places).unwrap();
        let (locked, total) = (Mutex::new(0).unwrap(), Value::new(0).unwrap());
        let start = |_| Process::new(add_up, (queue.clone(), locked.clone(), total.clone())).start();
        let children: Vec<_> = (0..consumers).map(|nth| start(nth).unwrap()).collect();
        items.iter().for_each(|item| queue.put(*item).unwrap());
        queue.close();
        let counts: usize = children.iter().map(|child| child.join().unwrap()).sum();
        let expected: u64 = items.iter().map(|item| u64::from(*item)).sum();
        prop_assert_eq!((counts, *locked.lock().unwrap(), total.load()), (items.len(), expected, expected));
    }

    #[test]
    fn a_pool_maps_as_an_iterator_does(
        items in prop::collection::vec(any::<u32>(), 0..500),
        workers in 1_usize..4,
        chunk in 1_usize..50,
    ) {
        let pool = Pool::new(workers).unwrap();
        let mapped = pool.with().chunk(chunk).map(square, items.clone()).unwrap();
        let expected: Vec<u64> = items.into_iter().map(square).collect();
        prop_assert_eq!(mapped, expected);
    }
}
