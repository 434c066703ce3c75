use std::time::Duration;

use mp_sys::Deadline;
use proptest::prelude::*;

#[test]
fn the_monotonic_clock_goes_forward() {
    let first = Deadline::now();
    assert!(Deadline::now() >= first && first.has_passed());
    assert_eq!(first.remaining(), Duration::ZERO);
}

proptest! {
    #[test]
    fn a_deadline_is_as_far_as_it_was_set(seconds: u64, nanos in 0_u32..1_000_000_000) {
        let timeout = Duration::new(seconds, nanos);
        let before = Deadline::now();
        let deadline = Deadline::after(timeout);
        prop_assert!(deadline >= before, "never wraps into the past");
        prop_assert!(deadline.remaining() <= timeout);
        if seconds > 60 {
            prop_assert!(!deadline.has_passed());
            // As far as the clock's 64 bits of nanoseconds reach.
            let reach = Duration::from_secs(60).max(timeout.min(Duration::from_secs(1 << 33)));
            prop_assert!(deadline.remaining() + Duration::from_secs(60) >= reach);
        }
    }

    #[test]
    fn the_earlier_of_two_is_the_lesser(a in 0_u64..1 << 40, b in 0_u64..1 << 40) {
        let [a, b] = [a, b].map(|nanos| Deadline::after(Duration::from_nanos(nanos)));
        prop_assert_eq!(a.or_earlier(Some(b)), a.min(b));
        prop_assert_eq!(a.or_earlier(None), a);
    }
}
