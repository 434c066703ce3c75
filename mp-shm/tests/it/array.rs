use mp_shm::{Array, Error};
use proptest::prelude::*;

use crate::travel::{travel, travel_as};

#[test]
fn arrays_begin_as_zero_wherever_their_room_comes_from() {
    for len in [0, 1, 100, 3_000, 100_000] {
        let array = Array::<u32>::new(len).unwrap();
        assert_eq!((array.len(), array.is_empty()), (len, len == 0));
        assert_eq!(array.to_vec(), vec![0; len]);
        array.fill(!0);
        drop(array);
        assert!(Array::<u32>::new(len).unwrap().iter().all(|n| n == 0), "CPython issue 11675");
    }
    assert!(Array::<bool>::padded(5).unwrap().iter().all(|flag| !flag));
}

#[test]
fn an_array_that_cannot_be_had_is_an_error() {
    assert!(matches!(Array::<u64>::new(usize::MAX), Err(Error::Os { .. })));
    assert!(matches!(Array::<u64>::new(usize::MAX / 64), Err(Error::Os { .. })));
}

#[test]
fn beyond_the_end_is_nothing_also_for_a_part() {
    let array = Array::from_slice(&[1_u8, 2, 3, 4]).unwrap();
    let part = array.slice(1..3).unwrap();
    assert_eq!((part.get(1), part.get(2), part.at(2).is_none()), (Some(3), None, true));
    assert_eq!(part.set(2, 9), Err(Error::Index { index: 2, len: 2 }));
    assert_eq!(array.slice(2..9).unwrap_err(), Error::OutOfBounds { offset: 2, len: 7, size: 4 });
    let (start, end) = (3, 1);
    assert!(array.slice(start..end).is_err());
    assert!(array.slice(4..).unwrap().is_empty());
    assert_eq!(array.slice(..=3).unwrap().to_vec(), array.to_vec());
}

#[test]
#[should_panic(expected = "index 2 is beyond the end of an array of 2")]
fn indexing_beyond_the_end_panics_as_a_slice_does() {
    Array::<u8>::new(2).unwrap()[2].load();
}

#[test]
fn an_array_and_its_parts_travel() {
    for len in [10, 50_000] {
        let array = Array::<f64>::new(len).unwrap();
        let part = travel(&array.slice(2..5).unwrap());
        part.copy_from_slice(&[0.5, 1.5, 2.5]).unwrap();
        assert_eq!(array.iter().skip(1).take(5).collect::<Vec<_>>(), [0.0, 0.5, 1.5, 2.5, 0.0]);
        assert!(travel(&array).same(&array) && !part.same(&array));
        assert!(travel_as::<_, Array<u64>>(&array).is_err());
    }
    let padded = Array::<i32>::padded(300).unwrap();
    travel(&padded)[299].store(-1);
    assert_eq!(padded.get(299), Some(-1));
}

#[test]
fn bools_are_copied_too() {
    let flags = Array::<bool>::new(3).unwrap();
    flags.copy_from_slice(&[true, false, true]).unwrap();
    flags[1].fetch_or(true);
    assert_eq!(format!("{flags:?}"), "[true, true, true]");
    assert_eq!(flags.to_vec(), [true; 3]);
}

proptest! {
    #[test]
    fn an_array_is_a_vec(
        start in prop::collection::vec(any::<u16>(), 0..600),
        padded: bool,
        steps in prop::collection::vec((0_usize..620, 0_usize..620, any::<u16>(), 0..4), 0..30),
    ) {
        let mut model = start.clone();
        let array = if padded { Array::padded(model.len()) } else { Array::new(model.len()) };
        let array = array.unwrap();
        array.copy_from_slice(&start).unwrap();
        for (from, to, value, action) in steps {
            match (array.slice(from..to), model.get_mut(from..to)) {
                (Err(_), None) => {}
                (Ok(part), Some(slice)) => match action {
                    0 => {
                        part.fill(value);
                        slice.fill(value);
                    }
                    1 => {
                        slice.reverse();
                        part.copy_from_slice(slice).unwrap();
                    }
                    2 => prop_assert_eq!(part.to_vec(), &*slice),
                    _ => {
                        part.iter().for_each(drop);
                        if let Some(last) = slice.last_mut() {
                            *last = last.wrapping_add(value);
                            part[part.len() - 1].fetch_add(value);
                        }
                    }
                },
                (part, slice) => prop_assert!(false, "{part:?} where std says {slice:?}"),
            }
        }
        prop_assert_eq!(array.iter().rev().collect::<Vec<_>>(), model.into_iter().rev().collect::<Vec<_>>());
    }
}
