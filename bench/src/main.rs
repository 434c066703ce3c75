//! mp measured side by side with its peers: `README.md` says how to run it and what the numbers
//! cannot tell.

mod peers;
mod process;
mod report;
mod row;
mod rows;
mod scale;

use std::process::ExitCode;

const USAGE: &str =
    "usage: mp-bench [ROW ...] [--list] [--json FILE] [--plot FILE.svg]; or --scale [TABLE ...]";

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
    if scale {
        return scale::run(&names);
    }
    let all = rows::all();
    if let Some(name) = names.iter().find(|name| all.iter().all(|row| row.name != **name)) {
        return Err(format!("no row is called {name}; --list names them"));
    }
    let chosen = all.iter().filter(|row| names.is_empty() || names.iter().any(|n| n == row.name));
    if list {
        chosen.for_each(list_one);
        return Ok(());
    }
    report::machine();
    let mut lines = Vec::new();
    for row in chosen {
        eprintln!("{row}");
        if let Err(why) = rows::prepare(row) {
            eprintln!("{} left out: {why}", row.name);
            continue;
        }
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
        lines = report::json(lines, &all, &file).map_err(|error| format!("{file}: {error}"))?;
    }
    if let Some(file) = plot {
        report::plot(&lines, &file).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

fn list_one(row: &row::Row) {
    println!("{row}");
    for peer in row.peers {
        let goal = peer.goal.map_or("for the record".to_owned(), |goal| format!("goal {goal:.4}"));
        println!("    {}: {goal}", peer.name);
    }
}
