//! Every decoder takes arbitrary bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mp_ipc::{Address, Connection, Error, Fd, Key, Listener, Message, Sender, decode, encode};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Numbers(Vec<u64>),
    Named { name: String, inside: Option<Box<Shape>>, map: BTreeMap<i16, char> },
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Nothing),
        prop::collection::vec(any::<u64>(), 0..20).prop_map(Shape::Numbers)
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let map = prop::collection::btree_map(any::<i16>(), any::<char>(), 0..4);
        (any::<String>(), prop::option::of(inner.prop_map(Box::new)), map)
            .prop_map(|(name, inside, map)| Shape::Named { name, inside, map })
    })
}

proptest! {
    #[test]
    fn values_come_back(value in shape()) {
        prop_assert_eq!(decode::<Shape>(encode(&value).unwrap()).unwrap(), value);
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error(value in shape()) {
        let whole = encode(&value).unwrap().bytes;
        for cut in 0..whole.len() {
            let part = Message::from_bytes(whole[..cut].to_vec());
            prop_assert!(matches!(decode::<Shape>(part), Err(Error::Decode(_))));
        }
    }

    #[test]
    fn arbitrary_bytes_are_a_value_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        fds in 0..3usize,
    ) {
        fn attempt<T: for<'de> Deserialize<'de>>(bytes: &[u8], fds: usize) {
            let null = || std::fs::File::open("/dev/null").unwrap().into();
            let fds = (0..fds).map(|_| null()).collect();
            let _ = decode::<T>(Message { bytes: bytes.to_vec(), fds });
        }
        attempt::<Shape>(&bytes, fds);
        attempt::<Vec<Vec<()>>>(&bytes, fds);
        attempt::<(String, Vec<Option<f64>>, [u32; 3])>(&bytes, fds);
        attempt::<Vec<Fd>>(&bytes, fds);
        attempt::<(Connection<u8>, Sender<u8>)>(&bytes, fds);
        attempt::<Listener>(&bytes, fds);
        attempt::<Address>(&bytes, fds);
        attempt::<Key>(&bytes, fds);
    }
}

#[test]
fn the_cause_of_a_failure_is_named() {
    let error = decode::<Fd>(Message::from_bytes(vec![3])).unwrap_err();
    assert_eq!(error.to_string(), "the message refers to descriptor 3, which did not come with it");
    let error = decode::<u8>(Message::from_bytes(vec![1, 2, 3])).unwrap_err();
    assert_eq!(error.to_string(), "the message does not hold such a value: 2 bytes are left over");
}

/// Fields that are not written take no bytes, and memory all the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Unwritten {
    #[serde(skip)]
    room: [u64; 4],
}

#[test]
fn elements_without_bytes_are_counted() {
    fn hostile<T: for<'de> Deserialize<'de>>(value: &impl Serialize) {
        let bytes = encode(value).unwrap();
        let begin = Instant::now();
        let Err(error) = decode::<T>(bytes) else { panic!("it has been decoded") };
        assert!(error.to_string().ends_with("elements take no bytes"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    hostile::<Vec<()>>(&u64::MAX);
    hostile::<Vec<Unwritten>>(&u64::MAX);
    hostile::<BTreeMap<(), ()>>(&u64::MAX);
    hostile::<(u8, Option<Box<[[(); 3]]>>)>(&(1_u8, Some(u64::MAX)));
    // Each of the lists is shorter than the message, and together they are its square.
    let lists = vec![60_000_u32; 60_000];
    hostile::<Vec<Vec<()>>>(&lists);
    hostile::<Vec<Result<Vec<Unwritten>, ()>>>(&vec![Ok::<_, ()>(60_000_u32); 60_000]);
}

#[test]
fn honest_elements_without_bytes_come_back() {
    let value = (vec![(); 65_000], vec![vec![Unwritten::default()]; 20], vec![[(); 3]; 500]);
    assert_eq!(
        decode::<(Vec<()>, Vec<Vec<Unwritten>>, _)>(encode(&value).unwrap()).unwrap(),
        value
    );
    let lists = vec![vec![Some(0_u8); 3]; 300_000];
    assert_eq!(decode::<Vec<Vec<Option<u8>>>>(encode(&lists).unwrap()).unwrap(), lists);
    let map: BTreeMap<u32, Vec<String>> = (0..100_000).map(|key| (key, vec![])).collect();
    assert_eq!(decode::<BTreeMap<u32, Vec<String>>>(encode(&map).unwrap()).unwrap(), map);
}

/// A value in a value in a value.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Tree>),
    Named { name: [String; 3], inside: Vec<Tree> },
    Struct(Box<Struct>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Struct {
    numbers: [u64; 8],
    inside: (String, [Wrapped; 1]),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Tree);

#[test]
fn values_lie_no_deeper_than_the_stack_has_room_for() {
    fn hostile<T: for<'de> Deserialize<'de>>(layer: &[u8], layers: usize) {
        let Err(error) = decode::<T>(Message::from_bytes(layer.repeat(layers))) else { panic!() };
        assert!(matches!(error, Error::TooDeep { max: 128 }), "{error}");
    }
    // A thread of the usual size.
    let run = || {
        hostile::<Tree>(&[1], 1 << 20);
        hostile::<Tree>(&[2, 0, 0, 0, 1], 1 << 20);
        hostile::<Option<Tree>>(&[1], 1 << 20);
        hostile::<Tree>(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1 << 20);
        let mut chain = Tree::Leaf;
        (0..127)
            .for_each(|_| chain = Tree::Node(Box::new(std::mem::replace(&mut chain, Tree::Leaf))));
        assert_eq!(decode::<Tree>(encode(&chain).unwrap()).unwrap(), chain);
        let deeper = encode(&Tree::Node(Box::new(chain))).unwrap();
        assert!(matches!(decode::<Tree>(deeper), Err(Error::TooDeep { .. })));
    };
    std::thread::Builder::new().stack_size(1 << 21).spawn(run).unwrap().join().unwrap();
}
