//! Copies a folder with three processes, which tell their progress through a managed queue.
//!
//! `managed_progress FROM TO`; without arguments it copies a folder of its own making.

use std::path::{Path, PathBuf};
use std::{env, fs};

use mp_manager::{Manager, Queue};
use mp_process::Process;

type Job = (PathBuf, PathBuf, Vec<String>, Queue<String>);

fn copy((from, to, names, done): Job) -> Result<(), String> {
    for name in names {
        fs::copy(from.join(&name), to.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        done.put(name).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program speaks")]
fn copy_folder(from: &Path, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(to)?;
    let names: Result<Vec<String>, _> = fs::read_dir(from)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect();
    let names = names?;
    let manager = Manager::start()?;
    let done = manager.queue(0)?;
    let parts = names.chunks(names.len().div_ceil(3).max(1));
    let children: Result<Vec<_>, _> = parts
        .map(|part| {
            Process::new(copy, (from.into(), to.into(), part.to_vec(), done.clone())).start()
        })
        .collect();
    for copied in 1..=names.len() {
        let name = done.get()?;
        println!("{:6.2} %  {name}", 100.0 * copied as f64 / names.len() as f64);
    }
    for child in children? {
        child.join()??;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    mp_process::init();
    let given: Vec<PathBuf> = env::args().skip(1).map(PathBuf::from).collect();
    if let [from, to] = &given[..] {
        return copy_folder(from, to);
    }
    let folder = env::temp_dir().join(format!("copy-folder-{}", std::process::id()));
    fs::create_dir_all(folder.join("from"))?;
    for n in 0..10 {
        fs::write(folder.join("from").join(format!("{n}.txt")), n.to_string())?;
    }
    let copied = copy_folder(&folder.join("from"), &folder.join("to"));
    fs::remove_dir_all(folder)?;
    copied
}
