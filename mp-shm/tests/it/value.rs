use std::collections::HashSet;
use std::fmt::Debug;

use mp_shm::{Bits, Element, Number, Value};
use mp_sys::fd_table;
use proptest::prelude::*;

use crate::travel::{travel, travel_as};

fn moves<T: Element>(a: T, b: T) {
    let value = Value::new(a).unwrap();
    let same: Value<T> = travel(&value);
    assert!(same.same(&value) && !Value::new(a).unwrap().same(&value));
    assert_eq!(same.swap(b), a);
    assert_eq!(value.load(), b);
    assert_eq!(value.compare_exchange(b, a), Ok(b));
    assert_eq!(same.load(), a);
    assert_eq!(value.update(|_| b), a);
    assert_eq!(value.try_update(|_| None), Err(b));
    value.store(a);
    assert_eq!(format!("{value:?}"), format!("Value({a:?})"));
}

fn counts<T: Number + From<u8>>() {
    let n = T::from;
    moves(n(3), n(4));
    let value = Value::new(n(5)).unwrap();
    assert_eq!(value.fetch_add(n(2)), n(5));
    assert_eq!(value.fetch_sub(n(1)), n(7));
    assert_eq!(value.fetch_min(n(4)), n(6));
    assert_eq!(value.fetch_max(n(9)), n(4));
    assert_eq!(value.load(), n(9));
    assert_eq!(value.compare_exchange(n(8), n(0)), Err(n(9)));
}

fn bits<T: Bits + Debug>(all: T, some: T, rest: T, none: T) {
    let value = Value::new(all).unwrap();
    assert_eq!(value.fetch_and(some), all);
    assert_eq!(value.fetch_or(rest), some);
    assert_eq!(value.fetch_xor(all), all);
    assert_eq!(value.load(), none);
}

#[test]
fn every_number_has_every_operation() {
    counts::<u8>();
    counts::<u16>();
    counts::<u32>();
    counts::<u64>();
    counts::<usize>();
    counts::<i16>();
    counts::<i32>();
    counts::<i64>();
    counts::<isize>();
    counts::<f32>();
    counts::<f64>();
    moves(-1_i8, i8::MIN);
    moves(false, true);
    bits(0xff_u8, 0x0f, 0xf0, 0);
    bits(-1_i64, 0x0f, !0x0f, 0);
    bits(true, false, true, false);
}

#[test]
fn floats_are_compared_by_their_bits() {
    let value = Value::new(f64::NAN).unwrap();
    assert!(value.compare_exchange(f64::NAN, 0.0).is_ok());
    assert_eq!(value.compare_exchange(-0.0, 1.0), Err(0.0));
    assert_eq!(value.fetch_min(f64::NAN), 0.0, "the number that is one wins");
    assert_eq!(value.load(), 0.0);
}

#[test]
fn the_type_is_checked_where_a_value_arrives() {
    let value = Value::new(1_u32).unwrap();
    assert!(travel_as::<_, Value<i32>>(&value).is_err());
    assert!(travel_as::<_, Value<f32>>(&value).is_err());
    assert_eq!(travel_as::<_, Value<u32>>(&value).unwrap().load(), 1);
}

#[test]
fn padded_values_lie_in_different_cache_lines() {
    let values: Vec<Value<u8>> = (0..100).map(|n| Value::padded(n).unwrap()).collect();
    let lines: HashSet<usize> = values.iter().map(|v| (&raw const **v).addr() / 64).collect();
    assert_eq!(lines.len(), 100);
    assert_eq!(travel(&values[7]).load(), 7);
}

#[test]
fn ten_thousand_values_take_few_descriptors() {
    let values: Vec<Value<u64>> = (0..10_000).map(|n| Value::new(n).unwrap()).collect();
    let (_, fds) = fd_table::collect(|| postcard::to_stdvec(&values).unwrap());
    assert!(fds.len() <= 4, "{} descriptors", fds.len());
    assert!(travel(&values).iter().map(|value| value.load()).eq(0..10_000));
}

#[test]
fn threads_lose_no_update() {
    let (int, float) = (Value::new(0_u64).unwrap(), Value::new(0.0_f64).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    int.update(|n| n + 3);
                    float.fetch_add(1.0);
                }
            });
        }
    });
    assert_eq!((int.load(), float.load()), (120_000, 40_000.0));
}

proptest! {
    #[test]
    fn integers_wrap_as_std_does(a: i16, b: i16) {
        let value = Value::new(a).unwrap();
        value.fetch_add(b);
        prop_assert_eq!(value.load(), a.wrapping_add(b));
        value.fetch_sub(b);
        prop_assert_eq!(value.load(), a);
    }
}
