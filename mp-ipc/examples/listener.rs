//! A listener serves whoever knows the key.
#![expect(clippy::print_stdout, reason = "what a program is for")]

use std::thread;

use mp_ipc::{Address, Connection, Error, Key, Listener, connect};

fn main() -> Result<(), Error> {
    let key = Key::from(&b"secret password"[..]);
    let any_port = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let listener = Listener::bind(&any_port, Some(key.clone()))?;
    let address = listener.address().clone();

    let clients = thread::spawn(move || -> Result<(), Error> {
        let wrong = connect::<(), String>(&address, Some(&Key::from(&b"guess"[..])));
        println!("client: {}", wrong.unwrap_err());

        let server: Connection<(), (String, Vec<f64>)> = connect(&address, Some(&key))?;
        println!("client: {:?}", server.recv()?);
        let mut buffer = [0; 8];
        println!("client: {} bytes", server.recv_into(&mut buffer)?);
        println!("client: {}", server.recv().unwrap_err());
        Ok(())
    });

    match listener.accept::<(), ()>() {
        Err(Error::Authentication) => {}
        other => panic!("{other:?}"),
    }
    let client: Connection<(String, Vec<f64>), ()> = listener.accept()?;
    client.send(&("numbers".to_string(), vec![2.25, 1e100]))?;
    client.send_bytes(b"hello")?;
    drop(client);
    clients.join().unwrap()
}
