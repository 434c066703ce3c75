//! `pipe` and `simplex`: two ends at once.

use std::sync::Arc;

use crate::{Connection, Error, Receiver, Sender, Wire};

/// Makes two connected ends: what one sends, the other receives.
///
/// Python: `Pipe()`.
///
/// # Errors
///
/// [`Error::Os`] when descriptors run out.
///
/// # Examples
///
/// ```
/// let (client, server) = mp_ipc::pipe::<u32, String>().unwrap();
/// client.send(&42).unwrap();
/// let question = server.recv().unwrap();
/// server.send(&format!("{question}!")).unwrap();
/// assert_eq!(client.recv().unwrap(), "42!");
/// ```
#[doc(alias = "Pipe")]
#[expect(clippy::type_complexity, reason = "an alias would hide that the ends are mirrored")]
pub fn pipe<S, R>() -> Result<(Connection<S, R>, Connection<R, S>), Error> {
    let (one, other) = Wire::pair()?;
    Ok((one.into(), other.into()))
}

/// Makes a channel in one direction: what goes into the [`Sender`] comes out of the
/// [`Receiver`]. Each end can be sent to another process.
///
/// Python: `Pipe(duplex=False)`, which returns them in the other order.
///
/// # Errors
///
/// [`Error::Os`] when descriptors run out.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = mp_ipc::simplex().unwrap();
/// sender.send(&"hello".to_string()).unwrap();
/// assert_eq!(receiver.recv().unwrap(), "hello");
/// ```
///
/// The wrong direction does not compile:
///
/// ```compile_fail,E0599
/// let (sender, _receiver) = mp_ipc::simplex::<u32>().unwrap();
/// sender.recv();
/// ```
///
/// ```compile_fail,E0599
/// let (_sender, receiver) = mp_ipc::simplex::<u32>().unwrap();
/// receiver.send(&1);
/// ```
pub fn simplex<T>() -> Result<(Sender<T>, Receiver<T>), Error> {
    let (one, other) = Wire::pair()?;
    Ok((Sender::over(Arc::new(one)), Receiver::over(Arc::new(other))))
}
