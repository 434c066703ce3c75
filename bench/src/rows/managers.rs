//! mp-manager.

use mp_manager::{Dict, Manager};

use super::{goal, record};
use crate::peers::{floor, python, redis};
use crate::process::per_op;
use crate::row::Row;

pub const ROWS: &[Row] = &[
    Row {
        name: "manager-set",
        what: "set of one key of a managed dict",
        pinned: "not at all; the socket pair: CPUs 0 and 1",
        waits: "blocking",
        ours: set,
        peers: &[
            goal("socket-pair", 1.5, floor::socket_rtt),
            goal("python-manager", 1.0 / 3.0, python::manager_set),
            goal("redis-set", 1.0, redis::set),
        ],
    },
    Row {
        name: "manager-bulk",
        what: "insert of 100,000 pairs at once; time for one pair",
        pinned: "not at all",
        waits: "blocking",
        ours: bulk,
        peers: &[
            goal("one-by-one", 1.0 / 50.0, set),
            record("python-update", python::manager_bulk),
        ],
    },
];

fn with_dict(
    count: usize,
    work: impl FnOnce(&Dict<u64, u64>) -> Result<(), mp_manager::Error>,
) -> Result<f64, String> {
    let manager = Manager::start().map_err(|error| error.to_string())?;
    let dict = manager.dict::<u64, u64>().map_err(|error| error.to_string())?;
    dict.set(&0, &0).map_err(|error| error.to_string())?;
    let mut result = Ok(());
    let time = per_op(count, || result = work(&dict));
    result.map(|()| time).map_err(|error| error.to_string())
}

fn set() -> Result<f64, String> {
    const COUNT: u64 = 20_000;
    with_dict(COUNT as usize, |dict| {
        (0..COUNT).try_for_each(|i| dict.set(&(i & 255), &i).map(drop))
    })
}

fn bulk() -> Result<f64, String> {
    const COUNT: u64 = 100_000;
    let pairs: Vec<(u64, u64)> = (0..COUNT).map(|i| (i, i)).collect();
    with_dict(COUNT as usize, |dict| dict.extend(pairs).map(drop))
}
