//! How cost grows: with workers, producers and consumers, message sizes, tasks, live objects.
//!
//! One table for each question, a line for each size. Each line is the median of three takes,
//! each in a fresh process with one thread, so that one take inherits nothing from another and
//! one that hangs costs a line and not the table.

mod alive;
mod memory;
mod pools;
mod queues;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, setpgid};

use crate::process::{child, reap};
use crate::row::median;

/// One question.
#[derive(Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    pub what: &'static str,
    /// What the sizes count, then what the values are.
    pub columns: &'static [&'static str],
    pub sizes: &'static [usize],
    /// The values for one size.
    pub take: fn(usize) -> Result<Vec<f64>, String>,
}

const TAKES: usize = 3;
/// A take that is longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(40);

pub fn tables() -> Vec<Table> {
    [queues::TABLES, pools::TABLES, alive::TABLES, memory::TABLES].concat()
}

/// Prints the tables of these names, or all, as Markdown.
pub fn run(names: &[String]) -> Result<(), String> {
    let all = tables();
    if let Some(name) = names.iter().find(|name| all.iter().all(|table| table.name != **name)) {
        let known: Vec<_> = all.iter().map(|table| table.name).collect();
        return Err(format!("no table is called {name}; there are {}", known.join(" ")));
    }
    for table in all.iter().filter(|t| names.is_empty() || names.iter().any(|n| n == t.name)) {
        println!("\n`{}`: {}.\n", table.name, table.what);
        println!("| {} |", table.columns.join(" | "));
        println!("|{}", " ---: |".repeat(table.columns.len()));
        for size in table.sizes {
            match line(table, *size) {
                Ok(values) => println!("| {} | {} |", grouped(*size), values.join(" | ")),
                Err(why) => println!("| {} | left out: {why} |", grouped(*size)),
            }
        }
    }
    Ok(())
}

fn line(table: &Table, size: usize) -> Result<Vec<String>, String> {
    let takes = (0..TAKES).map(|_| alone(|| (table.take)(size)));
    let takes = takes.collect::<Result<Vec<_>, _>>()?;
    let column = |nth: usize| median(takes.iter().map(|take| take[nth]).collect());
    Ok((0..table.columns.len() - 1).map(|nth| number(column(nth))).collect())
}

/// Runs `take` in a child of its own, which is killed with all its children if it hangs.
fn alone(take: impl FnOnce() -> Result<Vec<f64>, String>) -> Result<Vec<f64>, String> {
    let (mut ours, mut theirs) = UnixStream::pair().map_err(text)?;
    let pid = child(|| {
        let _ = setpgid(None, None);
        let text = match take() {
            Ok(values) => values.iter().map(f64::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => format!("! {error}"),
        };
        let _ = theirs.write_all(text.as_bytes());
    });
    drop(theirs);
    ours.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    let mut said = String::new();
    let heard = ours.read_to_string(&mut said);
    if let (Err(_), Some(group)) = (&heard, Pid::from_raw(pid)) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    reap(pid);
    if heard.is_err() {
        return Err(format!("hung for {} s", PATIENCE.as_secs()));
    }
    if let Some(error) = said.strip_prefix("! ") {
        return Err(error.to_owned());
    }
    let values: Result<Vec<f64>, _> = said.split_whitespace().map(str::parse).collect();
    values.ok().filter(|values| !values.is_empty()).ok_or("the take died".to_owned())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => grouped(value.round() as usize),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// With commas between the thousands.
fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
