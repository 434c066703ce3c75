//! One client is slow, stopped, or never reads its replies: the others do not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mp_manager::{Address, Key, List, Manager, Queue};

use crate::bytes::{frame, hello, resident};
use crate::crew::Mode;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("slow::a_stopped_client_delays_nobody", stopped),
        trial("slow::a_client_that_never_reads_delays_nobody_and_takes_no_memory", deaf),
        trial("slow::a_client_that_sends_byte_by_byte_is_served", byte_by_byte),
    ]
}

/// 16 MiB that can be asked for at little cost.
fn much(manager: &Manager) -> List<Vec<u8>> {
    let list = manager.list::<Vec<u8>>().unwrap();
    list.extend((0..64).map(|_| vec![7; 1 << 18])).unwrap();
    list
}

/// How long calls of this process take: together, and the slowest.
fn measure(calls: u32, mut call: impl FnMut()) -> (Duration, Duration) {
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    for _ in 0..calls {
        let begin = Instant::now();
        call();
        slowest = slowest.max(begin.elapsed());
    }
    (start.elapsed(), slowest)
}

fn ask_for_much((list, ready): (List<Vec<u8>>, Queue<()>)) {
    ready.put(()).unwrap();
    loop {
        let _ = list.to_vec();
    }
}

fn stopped() {
    let manager = Manager::start().unwrap();
    let list = much(&manager);
    let ready = manager.queue(0).unwrap();
    let reader = Mode::Fork.run(ask_for_much, &(list.clone(), ready.clone()));
    ready.get().unwrap();
    reader.process().signal(19).unwrap();
    let (all, _) = measure(200, || assert_eq!(list.len().unwrap(), 64));
    assert!(all < Duration::from_secs(2), "{all:?}");
    reader.kill();
}

fn stranger(manager: &Manager) -> TcpStream {
    let key = Key::random().unwrap();
    let any = Address::Tcp(([127, 0, 0, 1], 0).into());
    let address = manager.serve(&any, &key).unwrap();
    let wire = mp_ipc::connect_wire(&address, Some(&key), None).unwrap();
    let mut stream = TcpStream::from(OwnedFd::from(wire));
    stream.write_all(&hello()).unwrap();
    stream
}

fn deaf() {
    let manager = Manager::start().unwrap();
    let list = much(&manager);
    let call = || assert_eq!(list.len().unwrap(), 64);
    measure(100, call);
    let alone = measure(2000, call);
    let mut deaf = stranger(&manager);
    // All values of the first object there is, in each request.
    let mut all = vec![2, 1, 1, 10, 0];
    all.extend([0xff; 9]);
    all.push(1);
    let requests = frame(&all).repeat(1000);
    let before = resident(&manager);
    deaf.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(bytes) = deaf.write(&requests[sent % requests.len()..]) {
        sent += bytes;
    }
    let beside = measure(2000, call);
    let grown = resident(&manager).saturating_sub(before);
    println!(
        "{} requests whose replies nobody reads; 2,000 calls of another client: {:?}, the slowest \
         {:?} (before: {:?}, {:?}); the server has {grown} KiB more",
        sent / frame(&all).len(),
        beside.0,
        beside.1,
        alone.0,
        alone.1
    );
    assert!(beside.0 < alone.0 * 4 + Duration::from_millis(500), "{beside:?}");
    assert!(grown < 64 << 10, "{grown} KiB");
}

fn byte_by_byte() {
    let manager = Manager::start().unwrap();
    let list = manager.list_of(0..3).unwrap();
    let mut slow = stranger(&manager);
    slow.set_nodelay(true).unwrap();
    let mut answer = [0; 1000];
    assert!(slow.read(&mut answer).unwrap() > 4, "hello");
    // The length of the first object there is.
    for byte in frame(&[2, 1, 1, 0]) {
        slow.write_all(&[byte]).unwrap();
        assert_eq!(list.len().unwrap(), 3);
        thread::sleep(Duration::from_millis(1));
    }
    let len = slow.read(&mut answer).unwrap();
    assert_eq!(answer[..len], frame(&[0, 3, 3]), "well, a count, three");
}
