use bytemuck::{AnyBitPattern, NoUninit};

/// Data that may lie in shared memory behind a lock: every bit pattern is a value, there is no
/// padding, and it holds no pointer or handle of one process.
///
/// Integers, floats, arrays of such, and `repr(C)` structs that derive bytemuck's
/// `AnyBitPattern` (or `Pod`) and `NoUninit`. Its alignment is at most 64.
///
/// # Examples
///
/// ```
/// use bytemuck::{AnyBitPattern, NoUninit};
/// use mp_sync::Mutex;
///
/// #[derive(Clone, Copy, AnyBitPattern, NoUninit)]
/// #[repr(C)]
/// struct Totals { rows: u64, bytes: u64 }
///
/// let totals = Mutex::new(Totals { rows: 0, bytes: 0 })?;
/// totals.lock().or_else(mp_sync::LockError::recover)?.rows += 1;
/// # Ok::<(), mp_sync::Error>(())
/// ```
///
/// What owns memory of one process cannot be shared:
///
/// ```compile_fail
/// let names = mp_sync::Mutex::new(Vec::<String>::new());
/// ```
pub trait Shareable: AnyBitPattern + NoUninit + Send + Sync {}

impl<T: AnyBitPattern + NoUninit + Send + Sync> Shareable for T {}
