//! Functions that are called in another process: the one piece of cleverness in the house.
//!
//! A process of the same program has the same code, but at other addresses. So what travels is
//! *where in which file* the function lies: an object (the program or a shared library, known by
//! its build-id), and an offset in it. For each pair of argument and result type that the program
//! uses, the compiler also makes an [`Entry`]: a static that holds the code to decode the
//! arguments, call the function and encode its value. An [`FnId`] names both.
//!
//! Whoever receives one does not trust it. Before anything is called,
//!
//! 1. the id's seal must be that of this family of processes, so that bytes which happen to look
//!    like an id, or were made by a stranger, are refused;
//! 2. the object must be loaded here, with the same build-id. A library that is not loaded is
//!    loaded from the path that the sender had it from, and then compared;
//! 3. the entry must lie within that object's segments, and begin with the magic bytes of ours;
//! 4. the entry's hash of the names and sizes of both types must be that in the id;
//! 5. the function must lie in a segment that may be executed.
//!
//! Only plain functions can be named so: function items and closures that capture nothing. A
//! closure that captures is refused by the compiler, because `fn(A) -> R` has no room for it.
#![expect(unsafe_code, reason = "a function found by its offset is called")]

use std::fmt;

use mp_ipc::Message;
use mp_shm::type_hash;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::error::{FunctionError, TaskError};
use crate::place::Place;
use crate::{catch_panic, family};

/// Sixteen random bytes that say "here is an [`Entry`]".
const MAGIC: [u8; 16] = *b"\x9d\x1b\xe4\x70mpfn\xc5\x02\x8a\xf6\x31\xd8\x6e\x01";

const _: () = assert!(std::mem::offset_of!(Entry, magic) == 0);

/// What the compiler makes for each pair of types: how to call functions of that shape.
#[repr(C)]
struct Entry {
    magic: [u8; 16],
    types: fn() -> u64,
    /// Whether the value is a `Result`, whose encoding begins with 0 for `Ok` and 1 for `Err`.
    returns_result: fn() -> bool,
    /// # Safety
    ///
    /// The pointer is to a function of the shape that this entry was made for.
    call: unsafe fn(fn(), Message) -> Result<Message, TaskError>,
}

/// A function of unknown types, ready to be called with encoded arguments.
///
/// It travels as its [`FnId`]. A worker that is sent ids and messages calls functions without
/// knowing a single type of theirs.
///
/// # Examples
///
/// ```
/// use mp_process::Task;
///
/// fn area((width, height): (u32, u32)) -> u32 { width * height }
///
/// let id = Task::new(area).id()?;                       // sent to another process ...
/// let task = id.resolve()?;                             // ... and found there
/// let value = task.call(mp_ipc::encode(&(6u32, 7u32)).unwrap()).unwrap();
/// assert_eq!(mp_ipc::decode::<u32>(value).unwrap(), 42);
/// # Ok::<(), mp_process::FunctionError>(())
/// ```
///
/// A closure that captures something has nowhere to keep it:
///
/// ```compile_fail
/// let factor = 3;
/// let task = mp_process::Task::new(|x: u32| x * factor);
/// ```
#[derive(Clone, Copy)]
pub struct Task {
    entry: &'static Entry,
    // INVARIANT (shape): a function of the shape that `entry` was made for.
    function: fn(),
}

impl Task {
    /// The task that calls `function` with one argument; several are one tuple.
    pub fn new<A, R>(function: fn(A) -> R) -> Task
    where
        A: DeserializeOwned,
        R: Serialize,
    {
        // SAFETY: function pointers have one size, and this one is called only after it has been
        // turned back, by `call_with` of these very types.
        let function = unsafe { std::mem::transmute::<fn(A) -> R, fn()>(function) };
        Task { entry: entry_with::<A, R>(), function }
    }

    /// The task that calls `function` with no argument: its message is that of `()`.
    pub fn nullary<R: Serialize>(function: fn() -> R) -> Task {
        // SAFETY: as in `new`, with `call_without`.
        let function = unsafe { std::mem::transmute::<fn() -> R, fn()>(function) };
        Task { entry: entry_without::<R>(), function }
    }

    /// Decodes the arguments from `message`, calls the function, encodes its value.
    ///
    /// # Errors
    ///
    /// [`TaskError::Arguments`] and [`TaskError::Value`] when decoding or encoding fails,
    /// [`TaskError::Panicked`] when the function panics.
    pub fn call(&self, message: Message) -> Result<Message, TaskError> {
        // SAFETY: INVARIANT (shape).
        catch_panic(|| unsafe { (self.entry.call)(self.function, message) })
            .unwrap_or_else(|panic| Err(TaskError::Panicked(panic)))
    }

    /// Whether `value`, which [`call`](Task::call) returned, is the `Err` of a `Result`.
    pub(crate) fn is_err(&self, value: &Message) -> bool {
        (self.entry.returns_result)() && is_err(value)
    }

    /// As `is_err`, for a call that was made without a task.
    pub(crate) fn is_err_of<R>(result: &Result<Message, TaskError>) -> bool {
        returns_result::<R>() && result.as_ref().is_ok_and(is_err)
    }

    /// What names the function to other processes of this family.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Unknown`] for code that was made at run time and lies in no file.
    pub fn id(&self) -> Result<FnId, FunctionError> {
        let entry = Place::of(std::ptr::from_ref(self.entry).addr())?;
        let function = Place::of(self.function as usize)?;
        let types = (self.entry.types)();
        Ok(FnId { seal: FnId::seal_of(&entry, &function, types), entry, function, types })
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.function).finish()
    }
}

/// The address of a function in a file: what travels in place of a pointer.
///
/// Ids made by the same process for the same function and types are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FnId {
    pub(crate) entry: Place,
    pub(crate) function: Place,
    types: u64,
    seal: [u8; 16],
}

impl FnId {
    /// Finds the function in this process. The module's page lists what is checked.
    ///
    /// # Errors
    ///
    /// [`FunctionError`]: it is not here, or the id is not what it claims to be.
    pub fn resolve(&self) -> Result<Task, FunctionError> {
        if self.seal != FnId::seal_of(&self.entry, &self.function, self.types) {
            return Err(FunctionError::Foreign);
        }
        let address = self.entry.find(|object, address| {
            let segment = object.segment_of(address)?;
            let fits = address.checked_add(size_of::<Entry>())? <= segment.range.end;
            (fits && address.is_multiple_of(align_of::<Entry>())).then_some(address)
        })?;
        // The magic bytes stand at the beginning.
        let magic: *const [u8; 16] = std::ptr::with_exposed_provenance(address);
        let entry: *const Entry = magic.cast();
        // SAFETY: the bytes lie in a segment of a loaded object, which we keep loaded by never
        // unloading any, and every bit pattern is an array of bytes.
        let magic = unsafe { magic.read() };
        if magic != MAGIC {
            return Err(FunctionError::NoFunction);
        }
        // SAFETY: the magic bytes stand nowhere but at the beginning of an entry, in an object
        // with the same build-id as that in which the sender found its own.
        let entry = unsafe { &*entry };
        let types = (entry.types)();
        if types != self.types {
            return Err(FunctionError::Types { wanted: self.types, found: types });
        }
        let address = self
            .function
            .find(|object, address| object.segment_of(address)?.executable.then_some(address))?;
        let function: *const () = std::ptr::with_exposed_provenance(address);
        // SAFETY: it lies in executable code of the object with the same build-id as that in which
        // the sender had a function of this shape at this offset.
        let function = unsafe { std::mem::transmute::<*const (), fn()>(function) };
        Ok(Task { entry, function })
    }

    fn seal_of(entry: &Place, function: &Place, types: u64) -> [u8; 16] {
        // Encoding plain data cannot fail; were it to, nothing would match.
        let text = mp_ipc::encode(&(entry, function, types)).unwrap_or_default();
        family::seal(&text.bytes)
    }
}

/// A function of known types, as a value that can be sent: inside arguments, through queues.
///
/// # Examples
///
/// ```
/// use mp_process::Function;
///
/// let double = Function::new(|x: u32| x * 2);
/// let sent = mp_ipc::encode(&double).unwrap();
/// let arrived: Function<u32, u32> = mp_ipc::decode(sent).unwrap();
/// assert_eq!(arrived.call(21), 42);
///
/// let sent = mp_ipc::encode(&double).unwrap();
/// mp_ipc::decode::<Function<i32, i32>>(sent).unwrap_err(); // other types
/// ```
pub struct Function<A, R> {
    function: fn(A) -> R,
}

impl<A, R> Function<A, R> {
    /// The function as a value. Also `From<fn(A) -> R>`.
    pub fn new(function: fn(A) -> R) -> Function<A, R> {
        Function { function }
    }

    /// Calls it, here.
    pub fn call(&self, args: A) -> R {
        (self.function)(args)
    }

    /// The plain pointer.
    pub fn pointer(&self) -> fn(A) -> R {
        self.function
    }
}

impl<A, R> Clone for Function<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R> Copy for Function<A, R> {}

impl<A, R> fmt::Debug for Function<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&(self.function as *const ())).finish()
    }
}

impl<A, R> From<fn(A) -> R> for Function<A, R> {
    fn from(function: fn(A) -> R) -> Self {
        Function::new(function)
    }
}

impl<A: DeserializeOwned, R: Serialize> Serialize for Function<A, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Task::new(self.function).id().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de, A: DeserializeOwned, R: Serialize> Deserialize<'de> for Function<A, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let task = FnId::deserialize(deserializer)?.resolve().map_err(de::Error::custom)?;
        let (wanted, found) = (types_with::<A, R>(), (task.entry.types)());
        if wanted != found {
            return Err(de::Error::custom(FunctionError::Types { wanted, found }));
        }
        // SAFETY: INVARIANT (shape), and the entry is that of `fn(A) -> R`.
        let function = unsafe { std::mem::transmute::<fn(), fn(A) -> R>(task.function) };
        Ok(Function { function })
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FnId::deserialize(deserializer)?.resolve().map_err(de::Error::custom)
    }
}

fn entry_with<A: DeserializeOwned, R: Serialize>() -> &'static Entry {
    const {
        &Entry {
            magic: MAGIC,
            types: types_with::<A, R>,
            returns_result: returns_result::<R>,
            call: call_with::<A, R>,
        }
    }
}

fn entry_without<R: Serialize>() -> &'static Entry {
    const {
        &Entry {
            magic: MAGIC,
            types: types_without::<R>,
            returns_result: returns_result::<R>,
            call: call_without::<R>,
        }
    }
}

fn types_with<A, R>() -> u64 {
    let parts = [type_hash::<fn(A) -> R>(), type_hash::<A>(), type_hash::<R>()];
    parts.iter().fold(0, |hash: u64, part| hash.rotate_left(21) ^ part)
}

fn types_without<R>() -> u64 {
    type_hash::<fn() -> R>().rotate_left(21) ^ type_hash::<R>()
}

fn is_err(value: &Message) -> bool {
    value.bytes.first() == Some(&1)
}

fn returns_result<R>() -> bool {
    std::any::type_name::<R>().starts_with("core::result::Result<")
}

unsafe fn call_with<A: DeserializeOwned, R: Serialize>(
    function: fn(),
    message: Message,
) -> Result<Message, TaskError> {
    // SAFETY: the caller passes a function of the shape of this entry.
    let function = unsafe { std::mem::transmute::<fn(), fn(A) -> R>(function) };
    let args = mp_ipc::decode(message).map_err(|error| TaskError::Arguments(error.to_string()))?;
    mp_ipc::encode(&function(args)).map_err(|error| TaskError::Value(error.to_string()))
}

unsafe fn call_without<R: Serialize>(
    function: fn(),
    _message: Message,
) -> Result<Message, TaskError> {
    // SAFETY: the caller passes a function of the shape of this entry.
    let function = unsafe { std::mem::transmute::<fn(), fn() -> R>(function) };
    mp_ipc::encode(&function()).map_err(|error| TaskError::Value(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Build;

    fn double(x: u32) -> u32 {
        x * 2
    }

    #[test]
    fn a_changed_id_is_refused() {
        let id = Task::new(double).id().unwrap();
        id.resolve().unwrap();
        let mut elsewhere = id.clone();
        elsewhere.function.offset += 1;
        assert!(matches!(elsewhere.resolve(), Err(FunctionError::Foreign)));
    }

    /// As if the seal had been right: the other checks stand behind it.
    fn resealed(change: impl FnOnce(&mut FnId)) -> Result<Task, FunctionError> {
        let mut id = Task::new(double).id().unwrap();
        change(&mut id);
        id.seal = FnId::seal_of(&id.entry, &id.function, id.types);
        id.resolve()
    }

    #[test]
    fn every_check_holds_alone() {
        resealed(|_| ()).unwrap();
        let moved = resealed(|id| id.entry.offset += 8);
        assert!(matches!(moved, Err(FunctionError::NoFunction)), "{moved:?}");
        for offset in (0..1 << 24).step_by(8 * 257) {
            assert!(resealed(|id| id.entry.offset = offset).is_err(), "no entry lies at {offset}");
        }
        let outside = resealed(|id| id.entry.offset = u64::MAX - 7);
        assert!(matches!(outside, Err(FunctionError::NoFunction)), "{outside:?}");
        let data = resealed(|id| id.function.offset = id.entry.offset);
        assert!(matches!(data, Err(FunctionError::NoFunction)), "{data:?}");
        let types = resealed(|id| id.types += 1);
        assert!(matches!(types, Err(FunctionError::Types { .. })), "{types:?}");
        let rebuilt = resealed(|id| id.entry.build = Build::Id(vec![7; 20]));
        let message = rebuilt.unwrap_err().to_string();
        assert!(message.contains("07070707") && message.contains("here it is build"), "{message}");
        let library = resealed(|id| {
            id.function =
                Place { build: Build::Id(vec![7; 20]), path: "/no/lib.so".into(), offset: 0 }
        });
        let message = library.unwrap_err().to_string();
        assert!(message.contains("/no/lib.so") && message.contains("not loaded"), "{message}");
    }
}
