//! The pool behind a managed pool: a thread of the server process that hands work to it.

use std::sync::mpsc;
use std::thread;

use mp_ipc::Message;
use mp_pool::Pool;
use mp_process::FnId;
use serde_bytes::ByteBuf;

use crate::later::{Later, News};
use crate::protocol::{Failure, ObjectId};

/// Where the calls are handed in. The pool ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Crew(mpsc::Sender<Order>);

/// One call: a function, and what to call it with, once for each.
#[derive(Debug)]
pub(crate) struct Order {
    /// Where the results go.
    pub(crate) outcome: ObjectId,
    pub(crate) function: FnId,
    pub(crate) items: Vec<ByteBuf>,
}

impl Crew {
    pub(crate) fn hire(workers: u64, later: Later) -> Result<Crew, Failure> {
        let (sender, orders) = mpsc::channel();
        let workers = usize::try_from(workers).unwrap_or(usize::MAX);
        thread::Builder::new()
            .name("mp-manager pool".to_owned())
            .spawn(move || work(workers, orders, &later))
            .map_err(|error| Failure::Refused(format!("no thread could be started: {error}")))?;
        Ok(Crew(sender))
    }

    pub(crate) fn order(&self, order: Order) -> Result<(), Failure> {
        self.0.send(order).map_err(|_| Failure::Task("the pool's thread has ended".to_owned()))
    }
}

fn work(workers: usize, orders: mpsc::Receiver<Order>, later: &Later) {
    let pool = Pool::new(workers).map_err(|error| error.to_string());
    for Order { outcome, function, items } in orders {
        let handed_in = pool.as_ref().map_err(Clone::clone).and_then(|pool| {
            let calls = items.into_iter().map(|item| (function.clone(), item));
            pool.map_async(call, calls).map_err(|error| error.to_string())
        });
        let later = later.clone();
        match handed_in {
            Ok(result) => result.on_ready(move |results| {
                // The first that failed stands for all, as in a pool of one's own.
                let results = results
                    .map_err(|error| error.to_string())
                    .and_then(|results| results.into_iter().collect());
                later.tell(News::Done { outcome, results });
            }),
            Err(why) => drop(later.tell(News::Done { outcome, results: Err(why) })),
        }
    }
}

/// In a worker: the call itself. The id is sealed with the family's key, and checked here.
fn call((function, item): (FnId, ByteBuf)) -> Result<ByteBuf, String> {
    let task = function.resolve().map_err(|error| error.to_string())?;
    let value =
        task.call(Message::from_bytes(item.into_vec())).map_err(|error| error.to_string())?;
    match value.fds.is_empty() {
        true => Ok(ByteBuf::from(value.bytes)),
        false => Err("the value holds a handle, which cannot come back this way".to_owned()),
    }
}
