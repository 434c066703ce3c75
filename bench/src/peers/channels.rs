//! Channels: crossbeam between threads; ipc-channel, shaq and iceoryx2 between processes.

use std::fs::File;
use std::time::Duration;

use iceoryx2::prelude::*;
use ipc_channel::ipc as pipes;

use crate::process::{Pin, pair, per_op, pin_to};

const STREAM: usize = 200_000;
/// Where both sides poll.
const POLLED: usize = 50_000;
const CAPACITY: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(30);

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// crossbeam's bounded channel, 8-byte messages, `lanes` sending and as many receiving threads.
fn crossbeam(lanes: usize, count: usize) -> Result<f64, String> {
    let (sender, receiver) = crossbeam_channel::bounded::<u64>(CAPACITY);
    Ok(per_op(count, || {
        std::thread::scope(|scope| {
            for lane in 0..lanes {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                scope.spawn(move || {
                    pin_to((2 * lane) % 2);
                    for i in 0..count / lanes {
                        sender.send(i as u64).expect("receivers live");
                    }
                });
                scope.spawn(move || {
                    pin_to((2 * lane + 1) % 2);
                    for _ in 0..count / lanes {
                        receiver.recv().expect("senders live");
                    }
                });
            }
        });
    }))
}

pub fn crossbeam_stream() -> Result<f64, String> {
    crossbeam(1, 10 * STREAM)
}

pub fn crossbeam_2p2c() -> Result<f64, String> {
    crossbeam(2, 10 * STREAM)
}

pub fn ipc_channel_stream() -> Result<f64, String> {
    let (sender, receiver) = pipes::channel::<u64>().map_err(text)?;
    let (done, finished) = pipes::channel::<u64>().map_err(text)?;
    Ok(pair(
        Pin::Apart,
        || {
            (0..STREAM).for_each(|_| assert_ne!(receiver.recv().expect("recv"), u64::MAX));
            done.send(1).expect("send");
        },
        || {
            per_op(STREAM, || {
                (0..STREAM as u64).for_each(|i| sender.send(i).expect("send"));
                finished.recv().expect("recv");
            })
        },
    ))
}

pub fn ipc_channel_rtt() -> Result<f64, String> {
    const ROUNDS: usize = 20_000;
    let (there_in, there_out) = pipes::channel::<u64>().map_err(text)?;
    let (back_in, back_out) = pipes::channel::<u64>().map_err(text)?;
    Ok(pair(
        Pin::Apart,
        || (0..ROUNDS).for_each(|_| back_in.send(there_out.recv().expect("recv")).expect("send")),
        || {
            per_op(ROUNDS, || {
                for i in 0..ROUNDS as u64 {
                    there_in.send(i).expect("send");
                    back_out.recv().expect("recv");
                }
            })
        },
    ))
}

pub fn ipc_channel_1mib() -> Result<f64, String> {
    const COUNT: usize = 300;
    let (sender, receiver) = pipes::bytes_channel().map_err(text)?;
    let (done, finished) = pipes::channel::<u64>().map_err(text)?;
    let bytes = vec![7; 1 << 20];
    Ok(pair(
        Pin::Apart,
        || {
            (0..COUNT).for_each(|_| drop(receiver.recv().expect("recv")));
            done.send(1).expect("send");
        },
        || {
            per_op(COUNT, || {
                (0..COUNT).for_each(|_| sender.send(&bytes).expect("send"));
                finished.recv().expect("recv");
            })
        },
    ))
}

/// shaq's MPMC queue in a shared file; readers wait as it offers, writers poll, for it has no
/// waiting write.
fn shaq(lanes: usize, count: usize) -> Result<f64, String> {
    let size = shaq::mpmc::minimum_file_size::<u64>(CAPACITY);
    let memory = mp_sys::memfd::create_open(c"shaq", size as u64).map_err(text)?;
    let file = File::from(memory);
    // SAFETY: a fresh file, made and initialised by this process alone, and `u64` messages.
    let producer = unsafe { shaq::mpmc::Producer::<u64>::create(&file, size) }.map_err(text)?;
    let consumer = producer.join_as_consumer();
    let receive = || {
        for _ in 0..count / lanes {
            assert_ne!(consumer.read_timeout(PATIENCE).unwrap(), u64::MAX);
        }
    };
    let send = || {
        for i in 0..(count / lanes) as u64 {
            while producer.try_write(i).is_err() {
                std::hint::spin_loop();
            }
        }
    };
    Ok(per_op(count, || lanes_of(lanes, &send, &receive)))
}

/// Runs `lanes` senders and as many receivers, each in a process of its own.
pub fn lanes_of(lanes: usize, send: &dyn Fn(), receive: &dyn Fn()) {
    use crate::process::{child, reap};
    let mut children = Vec::new();
    for lane in 0..2 * lanes {
        let work = if lane % 2 == 0 { send } else { receive };
        children.push(child(|| {
            pin_to(lane % 2);
            work();
        }));
    }
    children.into_iter().for_each(reap);
}

pub fn shaq_stream() -> Result<f64, String> {
    shaq(1, 10 * STREAM)
}

/// Fewer messages: a producer that loses its CPU between claim and publication stops the others.
pub fn shaq_2p2c() -> Result<f64, String> {
    shaq(2, STREAM / 10)
}

pub fn shaq_rtt() -> Result<f64, String> {
    const ROUNDS: usize = 50_000;
    let size = shaq::mpmc::minimum_file_size::<u64>(CAPACITY);
    let queue = || -> Result<_, String> {
        let memory = mp_sys::memfd::create_open(c"shaq", size as u64).map_err(text)?;
        // SAFETY: as in `shaq`.
        let producer = unsafe { shaq::mpmc::Producer::<u64>::create(&File::from(memory), size) };
        let producer = producer.map_err(text)?;
        let consumer = producer.join_as_consumer();
        Ok((producer, consumer))
    };
    let ((there_in, there_out), (back_in, back_out)) = (queue()?, queue()?);
    Ok(pair(
        Pin::Apart,
        || {
            for _ in 0..ROUNDS {
                back_in.try_write(there_out.read_timeout(PATIENCE).unwrap()).unwrap();
            }
        },
        || {
            per_op(ROUNDS, || {
                for i in 0..ROUNDS as u64 {
                    there_in.try_write(i).unwrap();
                    back_out.read_timeout(PATIENCE).unwrap();
                }
            })
        },
    ))
}

/// iceoryx2's publish-subscribe, which is polled, with a publisher that waits when the
/// subscriber's buffer is full.
pub fn iceoryx2_stream() -> Result<f64, String> {
    set_log_level(LogLevel::Fatal);
    let name = format!("mp-bench/{}", std::process::id());
    let subscribe = || -> Result<_, String> {
        let node = NodeBuilder::new().create::<ipc::Service>().map_err(text)?;
        let service = node
            .service_builder(&name.as_str().try_into().map_err(text)?)
            .publish_subscribe::<u64>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(CAPACITY)
            .open_or_create()
            .map_err(text)?;
        Ok((node, service))
    };
    let (ready_in, ready_out) = std::os::unix::net::UnixStream::pair().map_err(text)?;
    let work = || {
        let (_node, service) = subscribe().expect("service");
        let subscriber = service.subscriber_builder().buffer_size(CAPACITY).create().expect("port");
        std::io::Write::write_all(&mut &ready_in, &[1]).expect("ready");
        let mut left = POLLED;
        while left > 0 {
            match subscriber.receive().expect("receive") {
                Some(_) => left -= 1,
                None => std::hint::spin_loop(),
            }
        }
        std::io::Write::write_all(&mut &ready_in, &[2]).expect("done");
    };
    pair(Pin::Apart, work, || {
        let wait = || std::io::Read::read_exact(&mut &ready_out, &mut [0]).map_err(text);
        wait()?;
        let (_node, service) = subscribe()?;
        let publisher = service.publisher_builder().create().map_err(text)?;
        let mut result = Ok(());
        let time = per_op(POLLED, || {
            for i in 0..POLLED as u64 {
                let sent = publisher
                    .loan_uninit()
                    .map_err(text)
                    .and_then(|sample| sample.write_payload(i).send().map_err(text));
                result = result.clone().and(sent.map(drop));
            }
            result = result.clone().and(wait());
        });
        result.map(|()| time)
    })
}
