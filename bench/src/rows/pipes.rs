//! mp-ipc's connections.

use mp_ipc::{pipe, simplex};

use super::{goal, record};
use crate::peers::{channels, floor, python};
use crate::process::{Pin, pair, per_op};
use crate::row::Row;

pub const ROWS: &[Row] = &[
    Row {
        name: "pipe-rtt",
        what: "round trip of 64 bytes over a connection (Python, ipc-channel: a number)",
        pinned: "CPUs 0 and 1; Python not at all",
        waits: "blocking",
        ours: rtt,
        peers: &[
            goal("socket-pair", 1.1, floor::socket_rtt),
            record("ipc-channel", channels::ipc_channel_rtt),
            record("python-pipe", python::pipe_rtt),
        ],
    },
    Row {
        name: "pipe-stream",
        what: "8-byte messages one way; two processes",
        pinned: "CPUs 0 and 1; Python not at all",
        waits: "blocking",
        ours: stream,
        peers: &[
            record("socket-pair-64", floor::socket_stream),
            record("ipc-channel", channels::ipc_channel_stream),
            record("python-pipe", python::pipe_stream),
        ],
    },
];

fn rtt() -> Result<f64, String> {
    const ROUNDS: usize = 20_000;
    let (here, there) = pipe::<u64, u64>().map_err(|error| error.to_string())?;
    let bytes = [7; 64];
    Ok(pair(
        Pin::Apart,
        || {
            let mut buffer = [0; 64];
            for _ in 0..ROUNDS {
                let len = there.recv_into(&mut buffer).expect("recv");
                there.send_bytes(&buffer[..len]).expect("send");
            }
        },
        || {
            let mut buffer = [0; 64];
            per_op(ROUNDS, || {
                for _ in 0..ROUNDS {
                    here.send_bytes(&bytes).expect("send");
                    here.recv_into(&mut buffer).expect("recv");
                }
            })
        },
    ))
}

fn stream() -> Result<f64, String> {
    const COUNT: usize = 200_000;
    let (sender, receiver) = simplex::<u64>().map_err(|error| error.to_string())?;
    let (done, finished) = simplex::<u64>().map_err(|error| error.to_string())?;
    Ok(pair(
        Pin::Apart,
        || {
            (0..COUNT).for_each(|_| assert_ne!(receiver.recv().expect("recv"), u64::MAX));
            done.send(&1).expect("send");
        },
        || {
            per_op(COUNT, || {
                (0..COUNT as u64).for_each(|i| sender.send(&i).expect("send"));
                finished.recv().expect("recv");
            })
        },
    ))
}
