//! mp-ipc's queues.

use mp_ipc::{ByteQueue, Queue};

use super::{goal, record};
use crate::peers::{channels, floor, python};
use crate::process::{Pin, pair, per_op};
use crate::row::Row;

pub const ROWS: &[Row] = &[
    Row {
        name: "queue-stream",
        what: "8-byte messages one way, 1024 places; two processes (crossbeam: threads)",
        pinned: "CPUs 0 and 1",
        waits: "blocking after a spin, as crossbeam; ipc-channel and Python blocking; shaq's writer and iceoryx2 polling",
        ours: stream,
        peers: &[
            goal("crossbeam", 1.0, channels::crossbeam_stream),
            goal("ipc-channel", 1.0 / 20.0, channels::ipc_channel_stream),
            goal("python-queue", 1.0 / 60.0, python::queue_stream),
            record("shaq-mpmc-polled-writes", channels::shaq_stream),
            record("iceoryx2-polled", channels::iceoryx2_stream),
        ],
    },
    Row {
        name: "queue-2p2c",
        what: "8-byte messages, two producers, two consumers; four processes (crossbeam: threads)",
        pinned: "producers on CPU 0, consumers on CPU 1",
        waits: "blocking after a spin, as crossbeam; shaq's writers polling",
        ours: two_and_two,
        peers: &[
            goal("crossbeam", 1.0, channels::crossbeam_2p2c),
            record("shaq-mpmc-polled-writes", channels::shaq_2p2c),
        ],
    },
    Row {
        name: "queue-rtt",
        what: "round trip of 8 bytes over two queues; two processes",
        pinned: "CPUs 0 and 1",
        waits: "blocking after a spin, as shaq; spin-polling polling; the others blocking",
        ours: rtt,
        peers: &[
            goal("futex-blocking", 1.1, floor::futex_rtt),
            record("spin-polling", floor::spin_rtt),
            record("shaq-mpmc-spin-futex", channels::shaq_rtt),
            record("ipc-channel", channels::ipc_channel_rtt),
            record("python-queue", python::queue_rtt),
        ],
    },
    Row {
        name: "queue-rtt-one-cpu",
        what: "round trip of 8 bytes over two queues; two processes",
        pinned: "both on CPU 0",
        waits: "blocking",
        ours: rtt_one_cpu,
        peers: &[goal("futex-blocking", 1.3, floor::futex_rtt_one_cpu)],
    },
    Row {
        name: "queue-1mib",
        what: "1 MiB of bytes one way; two processes",
        pinned: "CPUs 0 and 1",
        waits: "blocking, ours after a spin",
        ours: one_mib,
        peers: &[
            goal("unix-stream", 1.0 / 3.0, floor::socket_1mib),
            record("ipc-channel", channels::ipc_channel_1mib),
        ],
    },
    Row {
        name: "queue-64mib",
        what: "64 MiB of bytes one way; two processes (memcpy: one thread)",
        pinned: "CPUs 0 and 1",
        waits: "blocking, ours after a spin; memcpy waits for nobody",
        ours: sixty_four_mib,
        peers: &[goal("memcpy", 2.0, floor::memcpy_64mib)],
    },
];

fn text(error: mp_ipc::Error) -> String {
    error.to_string()
}

const PLACES: usize = 1024;
const STREAM: usize = 2_000_000;

fn stream() -> Result<f64, String> {
    lanes(1)
}

fn two_and_two() -> Result<f64, String> {
    lanes(2)
}

fn lanes(lanes: usize) -> Result<f64, String> {
    let queue = Queue::<u64>::new(PLACES).map_err(text)?;
    let share = STREAM / lanes;
    let send = || (0..share as u64).for_each(|i| queue.put(i).expect("put"));
    let receive = || (0..share).for_each(|_| assert_ne!(queue.get().expect("get"), u64::MAX));
    Ok(per_op(STREAM, || channels::lanes_of(lanes, &send, &receive)))
}

fn rtt() -> Result<f64, String> {
    round_trips(Pin::Apart)
}

fn rtt_one_cpu() -> Result<f64, String> {
    round_trips(Pin::Together)
}

fn round_trips(pin: Pin) -> Result<f64, String> {
    const ROUNDS: usize = 20_000;
    let (there, back) =
        (Queue::<u64>::new(16).map_err(text)?, Queue::<u64>::new(16).map_err(text)?);
    Ok(pair(
        pin,
        || (0..ROUNDS).for_each(|_| back.put(there.get().expect("get")).expect("put")),
        || {
            per_op(ROUNDS, || {
                for i in 0..ROUNDS as u64 {
                    there.put(i).expect("put");
                    back.get().expect("get");
                }
            })
        },
    ))
}

fn one_mib() -> Result<f64, String> {
    bytes(1 << 20, 500)
}

fn sixty_four_mib() -> Result<f64, String> {
    bytes(64 << 20, 10)
}

/// Streams messages of `size` bytes, copied in once and out once, the receiver's buffer re-used.
fn bytes(size: usize, count: usize) -> Result<f64, String> {
    let queue = ByteQueue::with_capacity(PLACES, 4 << 20).map_err(text)?;
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
            queue.put(&message).expect("put");
            per_op(count, || {
                (1..count).for_each(|_| queue.put(&message).expect("put"));
                done.get().expect("get");
            })
        },
    ))
}
