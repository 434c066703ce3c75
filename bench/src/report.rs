//! The table as JSON and as a picture, and a line on the machine.

use std::fmt::Write as _;
use std::fs;
use std::io;

use crate::row::{Line, Row};

/// Says where the numbers come from.
pub fn machine() {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    eprintln!("Linux {}, {model}, {cpus} CPUs allowed", kernel.trim());
}

/// Writes `lines` into `file`, in the order of `rows`. Lines that it has of other measurements
/// stay, and are returned with the rest: so the table can be taken in pieces.
pub fn json(mut lines: Vec<Line>, rows: &[Row], file: &str) -> io::Result<Vec<Line>> {
    let before: Vec<Line> = match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    for old in before {
        if lines.iter().all(|line| (&line.row, &line.peer_name) != (&old.row, &old.peer_name)) {
            lines.push(old);
        }
    }
    let peers = || rows.iter().flat_map(|row| row.peers.iter().map(|peer| (row.name, peer.name)));
    lines.sort_by_key(|line| peers().position(|name| name == (&*line.row, &*line.peer_name)));
    fs::write(file, serde_json::to_string_pretty(&lines)?)?;
    Ok(lines)
}

/// Bars of the ratio peer / ours on a logarithmic scale: to the right of the line we are ahead.
pub fn plot(lines: &[Line], file: &str) -> io::Result<()> {
    const ROW: usize = 18;
    const LEFT: f64 = 330.0;
    const DECADE: f64 = 120.0;
    let centre = LEFT + DECADE;
    let height = ROW * lines.len() + 50;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"16\" font-size=\"13\">time of the peer / time of mp \
         (logarithmic; right of the line mp is faster; red misses its goal)</text>\n"
    );
    for (at, line) in lines.iter().enumerate() {
        let top = 28 + at * ROW;
        let ahead = 1.0 / line.ratio;
        let width = ahead.log10().clamp(-1.0, 4.2) * DECADE;
        let (x, width) = if width < 0.0 { (centre + width, -width) } else { (centre, width) };
        let colour = match (line.goal, line.is_short()) {
            (None, _) => "#9aa7b4",
            (Some(_), false) => "#3a7d44",
            (Some(_), true) => "#c0392b",
        };
        let text = top + 11;
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{text}\">{} : {}</text>\
             <rect x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{ahead:.2}x</text>",
            line.row,
            line.peer_name,
            ROW - 5,
            (x + width).max(centre) + 4.0,
        );
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{centre}\" y1=\"24\" x2=\"{centre}\" y2=\"{}\" stroke=\"black\"/>\n</svg>",
        height - 20
    );
    fs::write(file, svg)
}
