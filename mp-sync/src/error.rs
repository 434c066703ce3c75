use mp_sys::Errno;

/// Why a synchronisation object could not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The deadline passed.
    #[error("the deadline passed while waiting")]
    TimedOut,
    /// It could not be had at once, and the call does not wait.
    #[error("it is taken: wait for it with the blocking call")]
    WouldBlock,
    /// The calling thread holds the lock already, so it would wait for itself.
    #[error("this thread holds the lock already: use a ReentrantMutex to lock it again")]
    WouldDeadlock,
    /// The calling thread holds as many locks as the kernel would release for it at its death.
    #[error("this thread holds {max} locks already: let go of one first")]
    TooManyHeld {
        /// How many a thread may hold.
        max: u32,
    },
    /// A party of the barrier died, gave up or called `abort`; `reset` makes it whole.
    #[error(
        "the barrier is broken: a party died, timed out or aborted, call reset to use it again"
    )]
    Broken,
    /// There would be more permits than the semaphore may have.
    #[error("released more often than acquired: there are at most {max} permits")]
    TooManyPermits {
        /// How many permits there may be.
        max: u32,
    },
    /// As many threads hold permits as the semaphore has entries for.
    #[error("{max} threads hold permits already: forget permits that outlive their threads' work")]
    TooManyHolders {
        /// How many threads may hold permits of one semaphore.
        max: usize,
    },
    /// A barrier cannot have so many parties, or so few.
    #[error("a barrier is for 1 to {max} parties, not for {parties}")]
    Parties {
        /// What was asked for.
        parties: usize,
        /// The most there may be.
        max: usize,
    },
    /// The object's memory could not be made or attached.
    #[error(transparent)]
    Memory(#[from] mp_shm::Error),
    /// A system call failed.
    #[error("{op} failed: {errno}")]
    Os {
        /// What was being done.
        op: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

impl Error {
    pub(crate) fn os(op: &'static str) -> impl FnOnce(Errno) -> Error {
        move |errno| match errno {
            Errno::TIMEDOUT => Error::TimedOut,
            Errno::DEADLK => Error::WouldDeadlock,
            errno => Error::Os { op, errno },
        }
    }
}

/// Why a lock was not simply given: the shape of [`std::sync::PoisonError`].
///
/// # Examples
///
/// ```
/// use mp_sync::{LockError, Mutex};
///
/// let count = Mutex::new(0_u32)?;
/// let mut guard = match count.lock() {
///     Ok(guard) => guard,
///     Err(LockError::OwnerDied(mut guard)) => {
///         *guard = 0; // half-written, perhaps: begin anew
///         guard
///     }
///     Err(LockError::Failed(error)) => return Err(error),
/// };
/// *guard += 1;
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum LockError<G> {
    /// The lock is ours, and its last holder died while it held it: what it guards may be
    /// half-written. The guard is here; dropping it says that all is well again.
    #[error("the last holder of the lock died: check what it guards")]
    OwnerDied(G),
    /// The lock is not ours.
    #[error(transparent)]
    Failed(Error),
}

impl<G> LockError<G> {
    /// The guard, whatever state its data is in: for `lock().or_else(LockError::recover)`.
    ///
    /// # Errors
    ///
    /// The error of a lock that is not ours.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_sync::{LockError, Mutex};
    ///
    /// let log_lines = Mutex::new(0_u64)?;
    /// // A counter is never half-written, so a death matters to nobody.
    /// *log_lines.lock().or_else(LockError::recover)? += 1;
    /// # Ok::<(), mp_sync::Error>(())
    /// ```
    pub fn recover(self) -> Result<G, Error> {
        match self {
            LockError::OwnerDied(guard) => Ok(guard),
            LockError::Failed(error) => Err(error),
        }
    }

    /// The same answer about another guard.
    pub(crate) fn map<H>(self, f: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            LockError::OwnerDied(guard) => LockError::OwnerDied(f(guard)),
            LockError::Failed(error) => LockError::Failed(error),
        }
    }
}

impl<G> From<Error> for LockError<G> {
    fn from(error: Error) -> LockError<G> {
        LockError::Failed(error)
    }
}
