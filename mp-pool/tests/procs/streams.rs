//! Lazy maps: what they read of their input, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mp_pool::{Error, TaskError};

use crate::calls::{nap, picky, square};
use crate::{Case, Kind, LONG};

pub(crate) const CASES: &[Case] = &[
    ("imap", imap),
    ("imap_unordered", imap_unordered),
    ("imap_is_lazy", imap_is_lazy),
    ("imap_next_timeout", imap_next_timeout),
    ("imap_goes_on_after_failures", imap_goes_on_after_failures),
    ("imap_dropped_midway", imap_dropped_midway),
    ("failing_input", failing_input),
    ("window_of_the_pool", window_of_the_pool),
    ("streams_side_by_side", streams_side_by_side),
    ("endless_until_the_pool_ends", endless_until_the_pool_ends),
];

fn imap(kind: Kind) {
    // test_imap
    let pool = kind.pool(2);
    let values: Vec<u64> = pool.imap(square, 0..300).map(Result::unwrap).collect();
    assert_eq!(values, (0..300).map(square).collect::<Vec<_>>());
    let naps: Vec<u64> = pool.imap(nap, [60, 5, 30]).map(Result::unwrap).collect();
    assert_eq!(naps, [60, 5, 30], "in the order of the input");
}

fn imap_unordered(kind: Kind) {
    // test_imap_unordered
    let pool = kind.pool(2);
    let mut values: Vec<u64> = pool.imap_unordered(square, 0..300).map(Result::unwrap).collect();
    values.sort_unstable();
    assert_eq!(values, (0..300).map(square).collect::<Vec<_>>());
    pool.map(nap, [0, 0]).unwrap();
    let naps: Vec<u64> = pool.imap_unordered(nap, [400, 5]).map(Result::unwrap).collect();
    assert_eq!(naps, [5, 400], "in the order of arrival");
}

fn imap_is_lazy(kind: Kind) {
    // C13
    let pool = kind.pool(2);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let endless = (0u64..).inspect(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let mut results = pool.with().window(8).imap(square, endless);
    assert_eq!(results.next().unwrap().unwrap(), 0);
    nap(50);
    assert!(taken.load(Ordering::Relaxed) <= 9, "{taken:?}");
    assert_eq!(results.nth(999).unwrap().unwrap(), 1_000 * 1_000);
    assert!(taken.load(Ordering::Relaxed) <= 1_009, "{taken:?}");
    drop(results);
    pool.close();
    pool.join_timeout(LONG).unwrap();
}

fn imap_next_timeout(kind: Kind) {
    let pool = kind.pool(1);
    let mut results = pool.imap(nap, [300]);
    let soon = Duration::from_millis(20);
    assert!(matches!(results.next_timeout(soon), Err(Error::TimedOut)));
    assert_eq!(results.next_timeout(LONG).unwrap(), Some(300));
    assert_eq!(results.next_timeout(LONG).unwrap(), None);
}

fn imap_goes_on_after_failures(kind: Kind) {
    let pool = kind.pool(2);
    for chunk in [1, 5] {
        let results: Vec<_> = pool.with().chunk(chunk).imap(picky, 0..10).collect();
        let failed: Vec<_> = (0..10).filter(|x| results[*x].is_err()).collect();
        assert_eq!(failed, [0, 3, 6, 9]);
    }
}

fn imap_dropped_midway(kind: Kind) {
    let pool = kind.pool(2);
    for _ in 0..20 {
        let mut results = pool.imap_unordered(square, 0..);
        results.next().unwrap().unwrap();
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

fn failing_input(kind: Kind) {
    // test_map_handle_iterable_exception, test_imap_handle_iterable_exception
    fn until_seven() -> impl Iterator<Item = u64> {
        (0u64..).inspect(|x| assert!(*x < 7, "the input failed"))
    }
    let pool = kind.pool(2);
    let quietly = |f: &mut dyn FnMut()| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        std::panic::set_hook(hook);
        assert!(result.is_err());
    };
    quietly(&mut || drop(pool.map(square, until_seven())));
    quietly(&mut || drop(pool.with().chunk(2).map(square, until_seven())));
    let mut done = 0;
    quietly(&mut || {
        let mut results = pool.with().window(2).imap(square, until_seven());
        loop {
            results.next().unwrap().unwrap();
            done += 1;
        }
    });
    assert!(done >= 5, "{done} results came before the input failed");
    assert_eq!(pool.map(square, 0..3).unwrap(), [0, 1, 4]);
}

fn window_of_the_pool(kind: Kind) {
    let pool = kind.start(|builder| builder.workers(2).window(5));
    let taken = AtomicUsize::new(0);
    let endless = (0u64..).inspect(|_| {
        taken.fetch_add(1, Ordering::Relaxed);
    });
    let mut results = pool.imap_unordered(square, endless);
    for done in 1..100 {
        results.next().unwrap().unwrap();
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken <= done + 5, "{taken} items were read for {done} results");
    }
    assert!(matches!(kind.builder().window(0).start(), Err(Error::Invalid(_))));
}

fn streams_side_by_side(kind: Kind) {
    let pool = kind.pool(2);
    let mut even = pool.imap(square, (0..).step_by(2));
    let odd = pool.with().chunk(3).imap(square, (1..).step_by(2));
    for (x, odd) in (0..600).step_by(2).zip(odd) {
        assert_eq!(even.next().unwrap().unwrap(), x * x);
        assert_eq!(odd.unwrap(), (x + 1) * (x + 1));
        if x % 100 == 0 {
            assert_eq!(pool.apply(square, x).unwrap(), x * x, "and there is room for others");
        }
    }
}

fn endless_until_the_pool_ends(kind: Kind) {
    for end in 0..3 {
        let pool = kind.pool(2);
        let mut results = pool.imap(square, 0..);
        assert!(results.by_ref().take(100).all(|result| result.is_ok()));
        match end {
            0 => pool.close(),
            1 => pool.close_and_cancel(),
            _ => pool.terminate(),
        }
        let mut last = None;
        assert!(results.by_ref().take(100_000).any(|result| {
            last = result.err();
            last.is_some()
        }));
        assert!(matches!(last, Some(TaskError::Closed | TaskError::Cancelled)), "{last:?}");
        assert!(results.take(100_000).count() < 100_000, "and then it is over");
        pool.join_timeout(LONG).unwrap();
    }
}
