//! mp measured side by side with its peers: `README.md` says how to run it and what the numbers
//! cannot tell.

mod peers;
mod process;
mod report;
mod row;
mod rows;
mod scale;

use std::process::ExitCode;

const USAGE: &str = "usage: mp-bench [ROW ...] [--list] [--scale] [--json FILE] [--plot FILE.svg]";

fn main() -> ExitCode {
    mp_process::init();
    peers::procspawn::init();
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Vec<String>) -> Result<(), String> {
    let mut names = Vec::new();
    let (mut json, mut plot, mut list, mut scale) = (None, None, false, false);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            peers::floor::NOTHING => return Ok(()),
            row::ONE => return row::measure_one(&mut args),
            "--list" => list = true,
            "--scale" => scale = true,
            "--json" => json = Some(args.next().ok_or(USAGE)?),
            "--plot" => plot = Some(args.next().ok_or(USAGE)?),
            name if name.starts_with('-') => return Err(USAGE.into()),
            name => names.push(name.to_owned()),
        }
    }
    let all = rows::all();
    if let Some(name) = names.iter().find(|name| all.iter().all(|row| row.name != **name)) {
        return Err(format!("no row is called {name}; --list names them"));
    }
    let chosen = all.iter().filter(|row| names.is_empty() || names.iter().any(|n| n == row.name));
    if list {
        chosen.for_each(|row| println!("{}\t{}", row.name, row.what));
        return Ok(());
    }
    if scale {
        return scale::run();
    }
    report::machine();
    let mut lines = Vec::new();
    for row in chosen {
        eprintln!("{}: {}", row.name, row.what);
        for peer in row.peers {
            match row::compare(row, peer) {
                Ok(line) => {
                    println!("{line}");
                    lines.push(line);
                }
                Err(why) => eprintln!("{}: {} left out: {why}", row.name, peer.name),
            }
        }
    }
    if let Some(file) = json {
        report::json(&lines, &file).map_err(|error| format!("{file}: {error}"))?;
    }
    if let Some(file) = plot {
        report::plot(&lines, &file).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}
