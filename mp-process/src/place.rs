//! Places in the program and its libraries that mean the same in every process.
#![expect(unsafe_code, reason = "a library that another process has loaded is loaded here")]

use std::ffi::CString;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use mp_sys::object::{self, Object};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::FunctionError;

/// Where something lies: in which object, how far from its base.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) build: Build,
    /// The library's path; empty for the program. For loading it, and for messages.
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
}

impl Place {
    pub(crate) fn of(address: usize) -> Result<Place, FunctionError> {
        object::find(|object| {
            object.segment_of(address)?;
            let path = object.path();
            Some(Place {
                build: Build::of(object),
                path: path.canonicalize().unwrap_or_else(|_| path.to_path_buf()),
                offset: address.wrapping_sub(object.base()) as u64,
            })
        })
        .ok_or(FunctionError::Unknown)
    }

    /// The address in this process, if `check` agrees with it.
    pub(crate) fn find(
        &self,
        check: impl Fn(&Object<'_>, usize) -> Option<usize>,
    ) -> Result<usize, FunctionError> {
        let look = || {
            object::find(|object| {
                (self.build.is_of(object)).then(|| {
                    let address = object.base().wrapping_add(self.offset as usize);
                    check(object, address).ok_or(FunctionError::NoFunction)
                })
            })
        };
        if let Some(found) = look() {
            return found;
        }
        let loaded = self.load();
        look().unwrap_or_else(|| Err(self.absent(loaded.err())))
    }

    /// Whether it lies in the program itself, so that each process of the program finds it.
    pub(crate) fn is_in_program(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// Whether this process has the object.
    pub(crate) fn is_loaded(&self) -> bool {
        object::find(|object| self.build.is_of(object).then_some(())).is_some()
    }

    /// Loads the library from where the sender had it.
    fn load(&self) -> Result<(), String> {
        use std::os::unix::ffi::OsStrExt;
        if self.is_in_program() {
            return Err("it is the program itself".into());
        }
        let path = CString::new(self.path.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
        // SAFETY: the id's seal says that a process of our family has this library loaded, so its
        // constructors are those of our program.
        unsafe { object::load(&path) }
    }

    /// The error that names what was wanted, and what is here instead.
    fn absent(&self, why: Option<String>) -> FunctionError {
        let here = object::find(|object| {
            let same = object.path().file_name() == self.path.file_name();
            (object.is_program() == self.is_in_program() && same).then(|| Build::of(object))
        });
        let found = match (here, why) {
            (Some(build), _) => format!("here it is {build}"),
            (None, Some(why)) => format!("here it is not loaded: {why}"),
            (None, None) => "here it is not loaded".to_string(),
        };
        let path = if self.is_in_program() {
            "the program".to_string()
        } else {
            self.path.display().to_string()
        };
        FunctionError::NotHere { object: path, wanted: self.build.to_string(), found }
    }
}

/// Which build of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Build {
    /// The linker's own mark.
    Id(Vec<u8>),
    /// SHA-256 of the code, where the linker left none.
    Text([u8; 32]),
}

impl Build {
    fn of(object: &Object<'_>) -> Build {
        match object.build_id() {
            Some(id) => Build::Id(id.to_vec()),
            None => Build::Text(text_hash(object)),
        }
    }

    fn is_of(&self, object: &Object<'_>) -> bool {
        match self {
            Build::Id(id) => object.build_id() == Some(id),
            Build::Text(hash) => object.build_id().is_none() && text_hash(object) == *hash,
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes) = match self {
            Build::Id(id) => ("build", id.as_slice()),
            Build::Text(hash) => ("code", hash.as_slice()),
        };
        write!(f, "{name} ")?;
        bytes.iter().take(10).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// SHA-256 of the object's code, computed once for each object.
fn text_hash(object: &Object<'_>) -> [u8; 32] {
    type Known = (usize, PathBuf, [u8; 32]);
    static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |(base, path, _): &&Known| *base == object.base() && path == object.path();
    if let Some((_, _, hash)) = known.iter().find(same) {
        return *hash;
    }
    let mut hash = Sha256::new();
    object.text().for_each(|text| hash.update(text));
    let hash = hash.finalize().into();
    known.push((object.base(), object.path().to_path_buf(), hash));
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_can_stand_for_a_missing_build_id() {
        let hash = object::find(|object| Some(Build::Text(text_hash(object)))).unwrap();
        let again = object::find(|object| Some(Build::Text(text_hash(object)))).unwrap();
        assert_eq!(hash, again);
    }
}
