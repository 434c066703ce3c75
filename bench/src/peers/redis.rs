//! redis-server over a unix socket, where it is installed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::per_op;

struct Server {
    child: Child,
    folder: std::path::PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `SET key value`, one at a time.
pub fn set() -> Result<f64, String> {
    let folder = std::env::temp_dir().join(format!("mp-bench-redis-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let socket = folder.join("socket");
    let child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("redis-server: {error}"))?;
    let _server = Server { child, folder };
    let end = Instant::now() + Duration::from_secs(5);
    let stream = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > end => return Err(format!("redis-server: {error}")),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut replies = BufReader::new(stream.try_clone().map_err(|error| error.to_string())?);
    let mut stream = stream;
    const COUNT: usize = 20_000;
    let mut reply = String::new();
    let mut result = Ok(());
    let time = per_op(COUNT, || {
        for i in 0..COUNT {
            let (key, value) = ((i & 255).to_string(), i.to_string());
            let command = format!(
                "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
                key.len(),
                value.len()
            );
            reply.clear();
            result = stream
                .write_all(command.as_bytes())
                .and_then(|()| replies.read_line(&mut reply).map(drop));
            if result.is_err() {
                break;
            }
        }
    });
    result.map(|()| time).map_err(|error| error.to_string())
}
