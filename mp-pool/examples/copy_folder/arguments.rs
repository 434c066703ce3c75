//! What the user asked for, and whether it can be done.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const USAGE: &str = "usage: copy_folder [--workers N] SRC DST";

/// The command line, checked.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) workers: usize,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let mut paths = Vec::new();
        let mut workers = mp_process::cpu_count();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--workers") => {
                    let number = words.next().and_then(|word| word.to_str()?.parse().ok());
                    workers = number
                        .filter(|&number| number > 0)
                        .ok_or("--workers needs a number from 1 upward")?;
                }
                Some(option) if option.starts_with("--") => {
                    return Err(format!("unknown option {option}\n{USAGE}"));
                }
                _ => paths.push(PathBuf::from(word)),
            }
        }
        let [from, to] = paths.try_into().map_err(|_| USAGE)?;
        let (from, to) = check(&from, &to)?;
        Ok(Arguments { from, to, workers })
    }
}

/// Both paths, absolute and free of links, if the one can be copied to the other.
fn check(from: &Path, to: &Path) -> Result<(PathBuf, PathBuf), String> {
    let whole = from.canonicalize().map_err(|error| format!("{}: {error}", from.display()))?;
    if !whole.is_dir() {
        return Err(format!("{}: not a folder", from.display()));
    }
    if let Ok(old) = to.canonicalize()
        && old.starts_with(&whole)
    {
        return Err(inside(from, to));
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(format!("{}: exists already; name a folder that does not", to.display()));
    }
    let parent = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let shelf = parent.canonicalize().map_err(|error| format!("{}: {error}", parent.display()))?;
    if shelf.starts_with(&whole) {
        return Err(inside(from, to));
    }
    let name = to.file_name().ok_or_else(|| format!("{}: not a name", to.display()))?;
    Ok((whole, shelf.join(name)))
}

fn inside(from: &Path, to: &Path) -> String {
    format!("{}: lies inside of {}, so the copy would never end", to.display(), from.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        assert_eq!(parse(&[]).unwrap_err(), USAGE);
        assert!(parse(&["--workers", "0", "a", "b"]).unwrap_err().contains("from 1 upward"));
        assert!(parse(&["--worker", "a", "b"]).unwrap_err().contains("unknown option --worker"));
        assert!(parse(&["/nowhere", "b"]).unwrap_err().starts_with("/nowhere: "));
        assert_eq!(parse(&["/dev/null", "b"]).unwrap_err(), "/dev/null: not a folder");
        assert!(parse(&["/proc/self", "/tmp"]).unwrap_err().starts_with("/tmp: exists already"));
        assert!(parse(&["/tmp", "/nowhere/b"]).unwrap_err().starts_with("/nowhere: "));
        for inside in ["/dev", "/dev/copy", "/dev/../dev/./copy"] {
            assert!(parse(&["/dev", inside]).unwrap_err().contains("lies inside of /dev"));
        }
    }

    #[test]
    fn a_right_command_line() {
        let arguments = parse(&["/dev/.", "--workers", "7", "/tmp/mp-no-such-folder"]).unwrap();
        assert_eq!((arguments.from, arguments.workers), ("/dev".into(), 7));
        assert_eq!(
            arguments.to,
            Path::new("/tmp").canonicalize().unwrap().join("mp-no-such-folder")
        );
    }
}
