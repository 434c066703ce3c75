//! A row: one workload, ours and its peers in turn.
//!
//! Each sample is taken in a fresh process, so that no side inherits the other's threads, heap or
//! page tables, and a side that hangs costs one row and not the run.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Takes one sample: nanoseconds for one operation, or why the peer cannot be measured here.
pub type Measure = fn() -> Result<f64, String>;

#[derive(Clone, Copy)]
pub struct Row {
    pub name: &'static str,
    /// The workload.
    pub what: &'static str,
    /// To which CPUs.
    pub pinned: &'static str,
    /// How each side waits for the other.
    pub waits: &'static str,
    pub ours: Measure,
    pub peers: &'static [Peer],
}

#[derive(Clone, Copy)]
pub struct Peer {
    pub name: &'static str,
    /// The greatest ratio of our time to the peer's that meets the goal; `None` for the record.
    pub goal: Option<f64>,
    pub measure: Measure,
}

/// One line of the table.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Line {
    pub row: String,
    pub ours: f64,
    pub peer_name: String,
    pub peer: f64,
    pub ratio: f64,
    pub goal: Option<f64>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { name, what, pinned, waits, .. } = self;
        write!(f, "{name}: {what}; pinned: {pinned}; waits: {waits}")
    }
}

impl Line {
    pub fn is_short(&self) -> bool {
        self.goal.is_some_and(|goal| self.ratio > goal)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goal = self.goal.map_or("-".to_owned(), |goal| format!("{goal:.4}"));
        let verdict = if self.is_short() { "short" } else { "ok" };
        let Line { row, ours, peer_name, peer, ratio, .. } = self;
        write!(f, "{row}\t{ours:.1}\t{peer_name}\t{peer:.1}\t{ratio:.4}\t{goal}\t{verdict}")
    }
}

/// The argument by which this program takes a single sample.
pub const ONE: &str = "--one";

/// Pairs of samples to a line.
const PAIRS: usize = 7;
/// A sample that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures ours and `peer` in turn and compares the medians.
pub fn compare(row: &Row, peer: &Peer) -> Result<Line, String> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        ours.push(sample(row.name, "ours")?);
        theirs.push(sample(row.name, peer.name)?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    Ok(Line {
        row: row.name.to_owned(),
        ours,
        peer_name: peer.name.to_owned(),
        peer: theirs,
        ratio: ours / theirs,
        goal: peer.goal,
    })
}

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Runs this program again for one sample of one side.
pub fn sample(row: &str, side: &str) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args([ONE, row, side])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let end = Instant::now() + PATIENCE;
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() > end {
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            return Err(format!("hung for {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!("{} {}", output.status, complaint.lines().next_back().unwrap_or("said nothing"))
    })
}

/// The other side of [`sample`].
pub fn measure_one(args: &mut impl Iterator<Item = String>) -> Result<(), String> {
    let (row, side) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let rows = super::rows::all();
    let row = rows.iter().find(|known| known.name == row).ok_or("no such row")?;
    let peer = row.peers.iter().find(|peer| peer.name == side);
    let measure = peer.map_or(row.ours, |peer| peer.measure);
    println!("{}", measure()?);
    Ok(())
}
