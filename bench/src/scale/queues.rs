//! mp-ipc's queue, with more and more participants and larger and larger messages.

use mp_ipc::{ByteQueue, Queue};

use super::{Table, text};
use crate::process::{Pin, child, pair, per_op, pin_to, reap};

pub const TABLES: &[Table] = &[
    Table {
        name: "queues",
        what: "nanoseconds for one 8-byte message through a queue of 1,024 places; producers \
                   on CPU 0, consumers on CPU 1, blocking",
        columns: &["n", "n to n", "n to one", "one to n", "n to n, nothing pinned"],
        sizes: &[1, 2, 4, 8, 16],
        take: |n| {
            let takes = [(n, n, true), (n, 1, true), (1, n, true), (n, n, false)];
            takes.into_iter().map(|(from, to, pinned)| crowd(from, to, pinned)).collect()
        },
    },
    Table {
        name: "messages",
        what: "byte strings through a queue whose ring has 1 MiB; processes on CPUs 0 and 1, \
                   blocking, the receiver's buffer re-used",
        columns: &["bytes", "ns a message", "ns a KiB"],
        sizes: &[8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20],
        take: |size| {
            let time = message(size)?;
            Ok(vec![time, time / (size as f64 / 1024.0)])
        },
    },
];

/// `from` producers and `to` consumers, each a process.
fn crowd(from: usize, to: usize, pinned: bool) -> Result<f64, String> {
    const COUNT: usize = 320_000;
    let queue = Queue::<u64>::new(1024).map_err(text)?;
    let on = |cpu| {
        if pinned {
            pin_to(cpu)
        }
    };
    Ok(per_op(COUNT, || {
        let producers = (0..from).map(|_| {
            child(|| {
                on(0);
                (0..(COUNT / from) as u64).for_each(|i| queue.put(i).expect("put"));
            })
        });
        let mut all: Vec<i32> = producers.collect();
        all.extend((0..to).map(|_| {
            child(|| {
                on(1);
                (0..COUNT / to).for_each(|_| assert_ne!(queue.get().expect("get"), u64::MAX));
            })
        }));
        all.into_iter().for_each(reap);
    }))
}

fn message(size: usize) -> Result<f64, String> {
    let count = ((512 << 20) / size).clamp(8, 400_000);
    let queue = ByteQueue::with_capacity(1024, 1 << 20).map_err(text)?;
    let done = Queue::<u8>::new(1).map_err(text)?;
    let message = vec![7; size];
    Ok(pair(
        Pin::Apart,
        || {
            let mut buffer = Vec::new();
            for _ in 0..count {
                buffer.clear();
                assert_eq!(queue.get_into(&mut buffer).expect("get"), size);
            }
            done.put(1).expect("put");
        },
        || {
            // The first messages find fresh memory on both sides.
            (0..3).for_each(|_| queue.put(&message).expect("put"));
            per_op(count - 3, || {
                (3..count).for_each(|_| queue.put(&message).expect("put"));
                done.get().expect("get");
            })
        },
    ))
}
