use std::time::{Duration, Instant};

use mp_manager::{CallError, Error, List, Manager, Service};
use serde::{Deserialize, Serialize};

struct Account(i64);

#[derive(Serialize, Deserialize)]
enum Ask {
    Add(i64),
    Balance,
    Panic,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Overdrawn {
    by: i64,
}

impl Service for Account {
    type Args = i64;
    type Request = Ask;
    type Reply = i64;
    type Error = Overdrawn;

    fn open(start: i64) -> Result<Account, Overdrawn> {
        if start < 0 { Err(Overdrawn { by: -start }) } else { Ok(Account(start)) }
    }

    fn handle(&mut self, ask: Ask) -> Result<i64, Overdrawn> {
        match ask {
            Ask::Add(n) if self.0 + n < 0 => return Err(Overdrawn { by: -(self.0 + n) }),
            Ask::Add(n) => self.0 += n,
            Ask::Balance => {}
            Ask::Panic => panic!("as asked"),
        }
        Ok(self.0)
    }
}

struct Slow;

impl Service for Slow {
    type Args = ();
    type Request = u64;
    type Reply = u64;
    type Error = ();

    const SLOW: bool = true;

    fn open((): ()) -> Result<Slow, ()> {
        Ok(Slow)
    }

    fn handle(&mut self, millis: u64) -> Result<u64, ()> {
        std::thread::sleep(Duration::from_millis(millis));
        Ok(millis)
    }
}

fn manager() -> Manager {
    Manager::builder().register::<Account>("account").register::<Slow>("slow").start().unwrap()
}

#[test]
fn a_users_type_is_served() {
    let manager = manager();
    let account = manager.create::<Account>("account", &10).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert!(account.call(&Ask::Add(1)).is_ok())));
        }
    });
    assert_eq!(account.call(&Ask::Balance).unwrap(), 210);
    let refused = account.call(&Ask::Add(-300));
    assert!(matches!(refused, Err(CallError::Refused(Overdrawn { by: 90 }))));
    let refused = manager.create::<Account>("account", &-1);
    assert!(matches!(refused, Err(CallError::Refused(Overdrawn { by: 1 }))));
    drop(account);
    assert_eq!(manager.object_count().unwrap(), 0);
}

#[test]
fn what_is_not_registered_cannot_be_made() {
    let manager = manager();
    let unknown = manager.create::<Account>("counter", &0);
    assert!(
        matches!(unknown, Err(CallError::Failed(Error::Unregistered(name))) if name == "counter")
    );
    let other = manager.create::<Slow>("account", &());
    assert!(matches!(other, Err(CallError::Failed(Error::Mismatch { .. }))));
}

#[test]
fn a_panic_is_an_error_and_the_server_goes_on() {
    let manager = manager();
    let account = manager.create::<Account>("account", &1).unwrap();
    for _ in 0..2 {
        let panicked = account.call(&Ask::Panic);
        assert!(matches!(panicked, Err(CallError::Failed(Error::Panicked(_)))));
    }
    let later = account.call(&Ask::Balance);
    assert!(matches!(later, Err(CallError::Failed(Error::Panicked(_)))), "it is poisoned");
    assert_eq!(manager.create::<Account>("account", &2).unwrap().call(&Ask::Balance).unwrap(), 2);
}

#[test]
fn a_slow_type_delays_nobody_else() {
    let manager = manager();
    let slow = manager.create::<Slow>("slow", &()).unwrap();
    let list: List<u8> = manager.list().unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| slow.call(&300).unwrap());
        let start = Instant::now();
        (0..20).for_each(|_| list.push(&1).unwrap());
        assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
        assert_eq!(call.join().unwrap(), 300);
    });
}
