//! Two processes copy the two halves of one file.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use mp_process::Process;

fn copy_part((from, to, start, end): (PathBuf, PathBuf, u64, u64)) -> Result<u64, String> {
    let copy = || -> io::Result<()> {
        let mut part = vec![0; (end - start) as usize];
        File::open(from)?.read_exact_at(&mut part, start)?;
        File::options().write(true).open(to)?.write_all_at(&part, start)
    };
    copy().map(|()| end - start).map_err(|error| error.to_string())
}

fn main() -> Result<(), Box<dyn Error>> {
    mp_process::init();
    let folder = std::env::temp_dir().join(format!("mp-split-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let (from, to) = (folder.join("picture"), folder.join("copy"));
    fs::write(&from, (0..100_001_u32).map(|n| n as u8).collect::<Vec<_>>())?;
    let size = fs::metadata(&from)?.len();
    File::create(&to)?.set_len(size)?;

    let top = Process::new(copy_part, (from.clone(), to.clone(), 0, size / 2)).start()?;
    let bottom = Process::new(copy_part, (from.clone(), to.clone(), size / 2, size)).start()?;
    println!("top: {} bytes", top.join()??);
    println!("bottom: {} bytes", bottom.join()??);
    println!("the same: {}", fs::read(&from)? == fs::read(&to)?);
    fs::remove_dir_all(&folder)?;
    Ok(())
}
