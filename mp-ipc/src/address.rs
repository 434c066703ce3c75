//! `Address`: where a listener can be found.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The longest path or name that a unix address has room for, in bytes.
const LONGEST: usize = 107;

/// Where a [`Listener`](crate::Listener) can be found.
///
/// # Examples
///
/// ```
/// use mp_ipc::Address;
///
/// assert_eq!(Address::from("127.0.0.1:80".parse::<std::net::SocketAddr>().unwrap()).to_string(),
///     "127.0.0.1:80");
/// assert_eq!(Address::Unix("/run/it".into()).to_string(), "/run/it");
/// assert_eq!(Address::Abstract("it".into()).to_string(), "@it");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Address {
    /// A unix socket in the file system, at a path of at most 107 bytes.
    Unix(PathBuf),
    /// A unix socket with a name of at most 107 bytes in the network namespace, and no file.
    /// Anybody on the machine may connect: use a key.
    Abstract(String),
    /// TCP. The port 0 stands for any free one. Anybody who reaches the host may connect: use a
    /// key. What travels is authenticated at the start and not encrypted.
    Tcp(SocketAddr),
}

impl Address {
    pub(crate) fn family(&self) -> AddressFamily {
        match self {
            Address::Unix(_) | Address::Abstract(_) => AddressFamily::UNIX,
            Address::Tcp(SocketAddr::V4(_)) => AddressFamily::INET,
            Address::Tcp(SocketAddr::V6(_)) => AddressFamily::INET6,
        }
    }

    /// As the kernel has it, if it has one.
    pub(crate) fn of(any: SocketAddrAny) -> Option<Address> {
        if any.address_family() != AddressFamily::UNIX {
            return SocketAddr::try_from(any).ok().map(Address::Tcp);
        }
        let unix = SocketAddrUnix::try_from(any).ok()?;
        if let Some(path) = unix.path_bytes() {
            // The longest comes with its end mark.
            let path = path.strip_suffix(&[0]).unwrap_or(path);
            return Some(Address::Unix(OsStr::from_bytes(path).into()));
        }
        // One that is not bound has the empty name.
        let name = unix.abstract_name().filter(|name| !name.is_empty())?;
        str::from_utf8(name).ok().map(|name| Address::Abstract(name.to_owned()))
    }

    /// As the kernel wants it.
    pub(crate) fn any(&self) -> Result<SocketAddrAny, Error> {
        let bytes = match self {
            Address::Tcp(address) => return Ok((*address).into()),
            Address::Unix(path) => path.as_os_str().as_bytes(),
            Address::Abstract(name) => name.as_bytes(),
        };
        if bytes.len() > LONGEST {
            return Err(Error::AddressTooLong { len: bytes.len(), max: LONGEST });
        }
        let unix = match self {
            Address::Abstract(_) => SocketAddrUnix::new_abstract_name(bytes),
            _ => SocketAddrUnix::new(bytes),
        };
        Ok(unix.map_err(Error::os("sockaddr_un"))?.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => path.display().fmt(f),
            Address::Abstract(name) => write!(f, "@{name}"),
            Address::Tcp(address) => address.fmt(f),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}
