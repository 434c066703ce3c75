//! A gate: where strangers come in, who know the address and the key.

use std::sync::Arc;
use std::{fs, thread};

use crate::Error;
use crate::later::{Later, News};
use mp_ipc::{Address, Key, Listener};

/// A listener, and the thread that accepts from it. A connection becomes the loop's only when
/// both sides have proved that they know the key.
#[derive(Debug)]
pub(crate) struct Gate {
    listener: Arc<Listener>,
}

impl Gate {
    pub(crate) fn open(address: &Address, key: Key, later: Later) -> Result<Gate, Error> {
        let listener = Arc::new(Listener::bind(address, Some(key))?);
        let accepting = listener.clone();
        thread::Builder::new()
            .name("mp-manager gate".to_owned())
            .spawn(move || accept_all(&accepting, &later))
            .map_err(|error| Error::from_io("clone", &error))?;
        Ok(Gate { listener })
    }

    pub(crate) fn address(&self) -> &Address {
        self.listener.address()
    }
}

/// The thread ends with the process, and so never drops its listener: the file is removed here.
impl Drop for Gate {
    fn drop(&mut self) {
        if let Address::Unix(path) = self.listener.address() {
            let _ = fs::remove_file(path);
        }
    }
}

fn accept_all(listener: &Listener, later: &Later) {
    loop {
        match listener.accept_wire(None) {
            Ok(wire) => {
                if !later.tell(News::Stranger(wire.into())) {
                    return;
                }
            }
            // One who has another key is gone; the next may have the right one.
            Err(mp_ipc::Error::Authentication) => {}
            Err(mp_ipc::Error::Os { op, errno }) if errno == mp_sys::Errno::MFILE => {
                // No descriptor is free. Those that there are go on, and when one of them ends
                // there is room again.
                log::warn!("a manager's {op} failed: {errno}");
                thread::sleep(std::time::Duration::from_millis(50));
            }
            Err(_) => return,
        }
    }
}
