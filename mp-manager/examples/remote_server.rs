//! Serves two queues to other programs, until one of them says that it is over:
//! `remote_server 127.0.0.1:0`, or with a path for a unix socket. It prints where it listens.

use mp_manager::{Address, Key, Manager};

#[expect(clippy::print_stdout, reason = "a program speaks")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    mp_process::init();
    let place = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address = place.parse().map_or_else(|_| Address::Unix(place.into()), Address::Tcp);
    let manager = Manager::start()?;
    manager.publish("jobs", &manager.queue::<u32>(0)?)?;
    manager.publish("squares", &manager.queue::<u64>(0)?)?;
    let over = manager.event()?;
    manager.publish("over", &over)?;
    println!("{}", manager.serve(&address, &Key::from(&b"between you and me"[..]))?);
    over.wait()?;
    Ok(())
}
