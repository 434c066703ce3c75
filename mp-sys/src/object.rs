//! `dl_iterate_phdr(3)`: the program and the shared libraries that this process has loaded.
#![expect(unsafe_code, reason = "the loader's lists are C structures")]

use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::path::Path;
use std::ptr;
use std::slice;

/// An object that is loaded: the program itself, or a shared library.
///
/// It can be looked at only during a [`find`], while the loader holds its lock.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    base: usize,
    name: &'a CStr,
    headers: &'a [libc::Elf64_Phdr],
}

/// What lies in memory from the object's file, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The addresses.
    pub range: Range<usize>,
    /// Whether code in it may run.
    pub executable: bool,
    /// Whether it may be written.
    pub writable: bool,
}

/// Shows each loaded object to `look`, the program first, until it answers with `Some`.
///
/// # Examples
///
/// ```
/// use mp_sys::object;
///
/// let address = mp_sys::fork::exit_now as *const () as usize;
/// let found = object::find(|object| {
///     object.segment_of(address).map(|segment| (object.is_program(), segment.executable))
/// });
/// assert_eq!(found, Some((true, true)));
/// ```
pub fn find<R>(look: impl FnMut(&Object<'_>) -> Option<R>) -> Option<R> {
    let mut search = Search { look, found: None, seen: 0 };
    iterate(&mut search);
    search.found
}

fn iterate<R, F: FnMut(&Object<'_>) -> Option<R>>(search: &mut Search<R, F>) {
    // SAFETY: the callback fits the type of its data, and neither is kept.
    unsafe { libc::dl_iterate_phdr(Some(visit::<R, F>), ptr::from_mut(search).cast()) };
}

struct Search<R, F> {
    look: F,
    found: Option<R>,
    seen: usize,
}

unsafe extern "C" fn visit<R, F: FnMut(&Object<'_>) -> Option<R>>(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: `find` passes a `Search` of exactly this type, and nothing else uses it meanwhile.
    let search = unsafe { &mut *search.cast::<Search<R, F>>() };
    // SAFETY: dl_iterate_phdr(3) passes a valid description of the object.
    let info = unsafe { &*info };
    let name = if info.dlpi_name.is_null() || search.seen == 0 {
        c""
    } else {
        // SAFETY: the loader's name of the object is a C string that lives as long as it.
        unsafe { CStr::from_ptr(info.dlpi_name) }
    };
    search.seen += 1;
    // SAFETY: the object's program headers, in number and place as the loader says.
    let headers =
        unsafe { slice::from_raw_parts(info.dlpi_phdr.cast(), usize::from(info.dlpi_phnum)) };
    let object = Object { base: info.dlpi_addr as usize, name, headers };
    search.found = (search.look)(&object);
    c_int::from(search.found.is_some())
}

impl Object<'_> {
    /// What is added to an address in the file to get the address in memory.
    pub fn base(&self) -> usize {
        self.base
    }

    /// Whether this is the program, and not a library.
    pub fn is_program(&self) -> bool {
        self.name.is_empty()
    }

    /// Whether it names a loader, as every program does that uses shared libraries.
    pub fn wants_loader(&self) -> bool {
        self.headers.iter().any(|header| header.p_type == libc::PT_INTERP)
    }

    /// The library's path as the loader knows it; empty for the program.
    pub fn path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(self.name.to_bytes()))
    }

    /// The segments, in the order of the file.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.headers.iter().filter(|header| header.p_type == libc::PT_LOAD).map(|header| {
            let start = self.base.wrapping_add(header.p_vaddr as usize);
            Segment {
                range: start..start.wrapping_add(header.p_memsz as usize),
                executable: header.p_flags & libc::PF_X != 0,
                writable: header.p_flags & libc::PF_W != 0,
            }
        })
    }

    /// The segment in which `address` lies, if it lies in this object.
    pub fn segment_of(&self, address: usize) -> Option<Segment> {
        self.segments().find(|segment| segment.range.contains(&address))
    }

    /// The linker's mark of this very build (`NT_GNU_BUILD_ID`), if it left one.
    pub fn build_id(&self) -> Option<&[u8]> {
        const NT_GNU_BUILD_ID: u32 = 3;
        self.headers.iter().filter(|header| header.p_type == libc::PT_NOTE).find_map(|header| {
            let start = self.base.wrapping_add(header.p_vaddr as usize);
            let notes = self.bytes(start..start.wrapping_add(header.p_memsz as usize))?;
            let align = if header.p_align == 8 { 8 } else { 4 };
            Notes { notes, align }
                .find(|(kind, name, _)| *kind == NT_GNU_BUILD_ID && *name == b"GNU\0")
                .map(|(_, _, id)| id)
        })
    }

    /// The code of the object: every segment that may run and may not be written.
    pub fn text(&self) -> impl Iterator<Item = &[u8]> {
        let fixed = self.segments().filter(|segment| segment.executable && !segment.writable);
        fixed.filter_map(|segment| self.bytes(segment.range))
    }

    /// The bytes at these addresses, if they lie in a segment that cannot be written.
    fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        let segment = self.segment_of(range.start)?;
        if segment.writable || range.end > segment.range.end || range.end < range.start {
            return None;
        }
        // SAFETY: the range lies in a loaded segment, which stays mapped while the loader's lock
        // is held (and `self` cannot leave `find`), and which nobody may write.
        Some(unsafe { slice::from_raw_parts(range.start as *const u8, range.len()) })
    }
}

/// The notes of a segment: kind, name, contents.
struct Notes<'a> {
    notes: &'a [u8],
    align: usize,
}

impl<'a> Iterator for Notes<'a> {
    type Item = (u32, &'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let word = |at: usize| -> Option<usize> {
            let bytes = self.notes.get(at..at + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?) as usize)
        };
        let (name_len, len, kind) = (word(0)?, word(4)?, word(8)?);
        let start = (12 + name_len).next_multiple_of(self.align);
        let name = self.notes.get(12..12 + name_len)?;
        let contents = self.notes.get(start..start + len)?;
        let end = (start + len).next_multiple_of(self.align).min(self.notes.len());
        self.notes = &self.notes[end..];
        Some((kind as u32, name, contents))
    }
}

/// `dlopen(RTLD_NOW | RTLD_LOCAL)`: loads the library at `path` for the life of the process.
///
/// # Errors
///
/// The loader's own words.
///
/// # Safety
///
/// The library's constructors run: the file must be one that the program may load.
pub unsafe fn load(path: &CStr) -> Result<(), String> {
    // SAFETY: the caller vouches for the constructors.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: dlerror(3) has no precondition.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return Err("the library could not be loaded".into());
    }
    // SAFETY: a C string, valid until this thread's next call of the loader.
    Err(unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned())
}
