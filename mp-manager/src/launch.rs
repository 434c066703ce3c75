//! The server as a process.

use std::sync::Arc;
use std::time::Duration;

use mp_ipc::Fd;
use mp_process::{Child, Function, Process};
use mp_sys::socket;
use serde::{Deserialize, Serialize};

use crate::later::Later;
use crate::server::Server;
use crate::service::Desks;
use crate::session::{Route, Session};
use crate::{Builder, Error, Manager};

/// What the server process is started with.
#[derive(Serialize, Deserialize)]
struct Orders {
    door: Fd,
    services: Vec<(String, Function<String, ()>)>,
    request_max: u64,
}

/// The process, for the manager that ends it.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child<Result<(), String>>,
}

pub(crate) fn start(builder: Builder) -> Result<Manager, Error> {
    let (outer, inner) = socket::packet_pair().map_err(Error::os("socketpair"))?;
    let Builder { services, request_max, method } = builder;
    let orders = Orders { door: Fd(inner), services, request_max: request_max as u64 };
    let mut process =
        Process::new(serve, orders).name("mp-manager").daemon(true).ignore_interrupt();
    if let Some(method) = method {
        process = process.method(method);
    }
    let server = ServerProcess { child: process.start()? };
    let session = Session::open(Route::Door(Arc::new(outer)))?;
    Ok(Manager::started(session, server))
}

/// The server's life.
fn serve(orders: Orders) -> Result<(), String> {
    run(orders).map_err(|error| error.to_string())
}

fn run(Orders { door, services, request_max }: Orders) -> Result<(), Error> {
    for (name, install) in services {
        install.call(name);
    }
    let (later, ear) = Later::new().map_err(Error::os("socketpair"))?;
    let desks = Desks::installed(later.clone());
    let request_max = usize::try_from(request_max).unwrap_or(usize::MAX);
    Server::new(door.0, desks, later, ear, request_max)?.run()
}

impl ServerProcess {
    pub(crate) fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Waits for the end, and helps it along when it takes longer than `patience`.
    pub(crate) fn end(self, patience: Duration) -> Result<(), Error> {
        if self.child.wait_timeout(patience).is_none() {
            self.child.kill()?;
            self.child.wait();
        }
        Ok(())
    }
}
