//! Three clients with connections of their own do what comes to proptest's mind to one dict, one
//! list and one queue; the standard library's collections do the same.

use std::collections::VecDeque;
use std::sync::LazyLock;

use mp_manager::{Address, Dict, Error, Key, List, Manager, Queue, Set};
use proptest::prelude::*;

struct Clients {
    _server: Manager,
    all: Vec<Manager>,
}

/// The manager itself, and two that came over TCP.
fn clients() -> &'static Clients {
    static CLIENTS: LazyLock<Clients> = LazyLock::new(|| {
        let server = Manager::start().unwrap();
        let key = Key::random().unwrap();
        let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
        let address = server.serve(&any, &key).unwrap();
        let own = mp_ipc::decode(mp_ipc::encode(&server).unwrap()).unwrap();
        let connect = || Manager::connect(&address, &key).unwrap();
        Clients { all: vec![own, connect(), connect()], _server: server }
    });
    &CLIENTS
}

/// The same object, as each client has it.
fn shared<P: mp_manager::Proxy>(make: impl Fn(&Manager) -> P) -> Vec<P> {
    let clients = &clients().all;
    let name = format!("{:?}", std::thread::current().id());
    clients[0].publish(&name, &make(&clients[0])).unwrap();
    let all = clients.iter().map(|client| client.named(&name).unwrap()).collect();
    clients[0].unpublish(&name).unwrap();
    all
}

#[derive(Clone, Debug)]
enum OnDict {
    Insert(u8, String),
    GetOrInsert(u8, String),
    Remove(u8),
    Update(u8, bool),
    PopLast,
    Extend(Vec<(u8, String)>),
    RemoveMany(Vec<u8>),
    GetMany(Vec<u8>),
    Clear,
}

fn on_dict() -> impl Strategy<Value = OnDict> {
    let (key, text) = (|| 0_u8..8, || "[a-z]{0,3}");
    prop_oneof![
        5 => (key(), text()).prop_map(|(k, v)| OnDict::Insert(k, v)),
        2 => (key(), text()).prop_map(|(k, v)| OnDict::GetOrInsert(k, v)),
        3 => key().prop_map(OnDict::Remove),
        3 => (key(), any::<bool>()).prop_map(|(k, keep)| OnDict::Update(k, keep)),
        1 => Just(OnDict::PopLast),
        1 => prop::collection::vec((key(), text()), 0..6).prop_map(OnDict::Extend),
        1 => prop::collection::vec(key(), 0..6).prop_map(OnDict::RemoveMany),
        1 => prop::collection::vec(key(), 0..6).prop_map(OnDict::GetMany),
        1 => Just(OnDict::Clear),
    ]
}

/// A map in the order of insertion, as naively as can be.
#[derive(Default)]
struct Pairs(Vec<(u8, String)>);

impl Pairs {
    fn at(&self, key: u8) -> Option<usize> {
        self.0.iter().position(|(other, _)| *other == key)
    }
    fn get(&self, key: u8) -> Option<String> {
        self.at(key).map(|at| self.0[at].1.clone())
    }
    fn insert(&mut self, key: u8, value: String) -> Option<String> {
        match self.at(key) {
            Some(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            None => {
                self.0.push((key, value));
                None
            }
        }
    }
    fn remove(&mut self, key: u8) -> Option<String> {
        self.at(key).map(|at| self.0.remove(at).1)
    }
}

#[derive(Clone, Debug)]
enum OnList {
    Push(i16),
    Insert(usize, i16),
    Set(usize, i16),
    Remove(usize),
    Pop,
    Swap(usize, usize),
    Splice(usize, usize, Vec<i16>),
    Range(usize, usize),
    Update(usize, i16),
    Reverse,
    Sort,
    Retain(i16),
    Truncate(usize),
    Extend(Vec<i16>),
}

fn on_list() -> impl Strategy<Value = OnList> {
    let at = || 0_usize..12;
    let values = || prop::collection::vec(any::<i16>(), 0..5);
    prop_oneof![
        4 => any::<i16>().prop_map(OnList::Push),
        2 => (at(), any::<i16>()).prop_map(|(i, v)| OnList::Insert(i, v)),
        2 => (at(), any::<i16>()).prop_map(|(i, v)| OnList::Set(i, v)),
        2 => at().prop_map(OnList::Remove),
        1 => Just(OnList::Pop),
        1 => (at(), at()).prop_map(|(a, b)| OnList::Swap(a, b)),
        2 => (at(), at(), values()).prop_map(|(a, b, v)| OnList::Splice(a, b, v)),
        2 => (at(), at()).prop_map(|(a, b)| OnList::Range(a, b)),
        2 => (at(), any::<i16>()).prop_map(|(i, v)| OnList::Update(i, v)),
        1 => Just(OnList::Reverse),
        1 => Just(OnList::Sort),
        1 => any::<i16>().prop_map(OnList::Retain),
        1 => at().prop_map(OnList::Truncate),
        2 => values().prop_map(OnList::Extend),
    ]
}

/// What is out of range there is so here.
fn same<T: PartialEq + std::fmt::Debug>(ours: Result<T, Error>, model: Option<T>) {
    match (ours, model) {
        (Ok(ours), Some(model)) => assert_eq!(ours, model),
        (Err(Error::OutOfRange { .. }), None) => {}
        (ours, model) => panic!("{ours:?}, not {model:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dict_is_a_map(actions in prop::collection::vec((0_usize..3, on_dict()), 1..60)) {
        let dicts: Vec<Dict<u8, String>> = shared(|manager| manager.dict().unwrap());
        let mut model = Pairs::default();
        for (client, action) in actions {
            let dict = &dicts[client];
            match action {
                OnDict::Insert(k, v) => {
                    prop_assert_eq!(dict.insert(&k, &v).unwrap(), model.insert(k, v));
                }
                OnDict::GetOrInsert(k, v) => {
                    let there = model.get(k).unwrap_or_else(|| {
                        model.insert(k, v.clone());
                        v.clone()
                    });
                    prop_assert_eq!(dict.get_or_insert(&k, &v).unwrap(), there);
                }
                OnDict::Remove(k) => prop_assert_eq!(dict.remove(&k).unwrap(), model.remove(k)),
                OnDict::Update(k, keep) => {
                    let change = |v: Option<String>| keep.then(|| v.unwrap_or_default() + "+");
                    let after = change(model.get(k));
                    prop_assert_eq!(dict.update_in(&k, change).unwrap(), after.clone());
                    match after {
                        Some(v) => drop(model.insert(k, v)),
                        None => drop(model.remove(k)),
                    }
                }
                OnDict::PopLast => prop_assert_eq!(dict.pop_last().unwrap(), model.0.pop()),
                OnDict::Extend(pairs) => {
                    let before = model.0.len();
                    dict.extend(pairs.iter().map(|(k, v)| (k, v))).unwrap();
                    pairs.into_iter().for_each(|(k, v)| drop(model.insert(k, v)));
                    prop_assert!(model.0.len() >= before);
                }
                OnDict::RemoveMany(keys) => {
                    let gone = keys.iter().filter(|k| model.remove(**k).is_some()).count();
                    prop_assert_eq!(dict.remove_many(&keys).unwrap(), gone);
                }
                OnDict::GetMany(keys) => {
                    let there: Vec<_> = keys.iter().map(|k| model.get(*k)).collect();
                    prop_assert_eq!(dict.get_many(&keys).unwrap(), there);
                }
                OnDict::Clear => {
                    dict.clear().unwrap();
                    model.0.clear();
                }
            }
            prop_assert_eq!(dicts[(client + 1) % 3].to_vec().unwrap(), model.0.clone());
        }
    }

    #[test]
    fn a_list_is_a_vec(actions in prop::collection::vec((0_usize..3, on_list()), 1..60)) {
        let lists: Vec<List<i16>> = shared(|manager| manager.list().unwrap());
        let mut model: Vec<i16> = Vec::new();
        for (client, action) in actions {
            let list = &lists[client];
            let len = model.len();
            match action {
                OnList::Push(v) => {
                    list.push(&v).unwrap();
                    model.push(v);
                }
                OnList::Insert(i, v) => same(list.insert(i, &v), (i <= len).then(|| model.insert(i, v))),
                OnList::Set(i, v) => same(list.set(i, &v), (i < len).then(|| model[i] = v)),
                OnList::Remove(i) => same(list.remove(i), (i < len).then(|| model.remove(i))),
                OnList::Pop => prop_assert_eq!(list.pop().unwrap(), model.pop()),
                OnList::Swap(a, b) => {
                    same(list.swap(a, b), (a < len && b < len).then(|| model.swap(a, b)));
                }
                OnList::Splice(a, b, with) => {
                    let fits = a <= b && b <= len;
                    let ours = list.splice(a..b, with.clone());
                    same(ours, fits.then(|| model.splice(a..b, with).collect()));
                }
                OnList::Range(a, b) => {
                    same(list.get_range(a..b), model.get(a..b).map(<[i16]>::to_vec));
                }
                OnList::Update(i, v) => {
                    let change = |old: i16| old.wrapping_add(v);
                    same(list.update_in(i, change), (i < len).then(|| {
                        model[i] = change(model[i]);
                        model[i]
                    }));
                }
                OnList::Reverse => {
                    list.reverse().unwrap();
                    model.reverse();
                }
                OnList::Sort => {
                    list.sort().unwrap();
                    model.sort();
                }
                OnList::Retain(v) => {
                    list.retain(|n| *n <= v).unwrap();
                    model.retain(|n| *n <= v);
                }
                OnList::Truncate(n) => {
                    list.truncate(n).unwrap();
                    model.truncate(n);
                }
                OnList::Extend(values) => {
                    list.extend(values.clone()).unwrap();
                    model.extend(values);
                }
            }
            prop_assert_eq!(lists[(client + 1) % 3].to_vec().unwrap(), model.clone());
        }
    }

    #[test]
    fn a_queue_is_a_deque(
        bound in 0_usize..5,
        actions in prop::collection::vec((0_usize..3, prop::option::of(any::<u32>())), 1..80),
    ) {
        let queues: Vec<Queue<u32>> = shared(|manager| manager.queue(bound).unwrap());
        let mut model = VecDeque::new();
        for (client, action) in actions {
            let queue = &queues[client];
            match action {
                Some(value) if bound > 0 && model.len() == bound => {
                    prop_assert!(matches!(queue.try_put(value).unwrap_err().error(), Error::Full));
                }
                Some(value) => {
                    queue.try_put(value).unwrap();
                    model.push_back(value);
                }
                None => match model.pop_front() {
                    Some(value) => prop_assert_eq!(queue.try_get().unwrap(), value),
                    None => prop_assert!(matches!(queue.try_get(), Err(Error::Empty))),
                },
            }
            prop_assert_eq!(queues[(client + 1) % 3].len().unwrap(), model.len());
        }
    }

    #[test]
    fn a_set_is_a_set(
        actions in prop::collection::vec((0_usize..3, any::<bool>(), 0_u8..6), 1..60),
    ) {
        let sets: Vec<Set<u8>> = shared(|manager| manager.set().unwrap());
        let mut model = std::collections::HashSet::new();
        for (client, add, value) in actions {
            if add {
                prop_assert_eq!(sets[client].insert(&value).unwrap(), model.insert(value));
            } else {
                prop_assert_eq!(sets[client].remove(&value).unwrap(), model.remove(&value));
            }
            prop_assert_eq!(sets[(client + 1) % 3].to_set().unwrap(), model.clone());
        }
    }
}
