//! Two programs share a queue over TCP: run `two_programs serve`, and `two_programs work` with the
//! address that it prints. Without a word it does both.

use mp_manager::{Address, Key, Manager, Queue};
use mp_process::Process;

const KEY: &[u8] = b"between you and me";

fn serve(address: &str) -> Result<(Manager, Address), Box<dyn std::error::Error>> {
    let manager = Manager::start()?;
    manager.publish("jobs", &manager.queue::<u32>(0)?)?;
    manager.publish("squares", &manager.queue::<u64>(0)?)?;
    let address = manager.serve(&Address::Tcp(address.parse()?), &Key::from(KEY))?;
    Ok((manager, address))
}

fn ask(manager: &Manager) -> Result<u64, mp_manager::Error> {
    let (jobs, squares): (Queue<u32>, Queue<u64>) =
        (manager.named("jobs")?, manager.named("squares")?);
    jobs.extend(1..=10)?;
    (0..10).map(|_| squares.get()).sum()
}

fn work(address: String) -> Result<(), String> {
    let work = || -> Result<(), Box<dyn std::error::Error>> {
        let manager = Manager::connect(&Address::Tcp(address.parse()?), &Key::from(KEY))?;
        let (jobs, squares): (Queue<u32>, Queue<u64>) =
            (manager.named("jobs")?, manager.named("squares")?);
        for _ in 0..10 {
            squares.put(u64::from(jobs.get()?).pow(2))?;
        }
        Ok(())
    };
    work().map_err(|error| error.to_string())
}

#[expect(clippy::print_stdout, reason = "a program speaks")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    mp_process::init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => {
            let (manager, address) = serve("0.0.0.0:0")?;
            println!("serving at {address}");
            println!("sum of squares: {}", ask(&manager)?);
        }
        ["work", address] => work(address.to_owned())?,
        _ => {
            let (manager, address) = serve("127.0.0.1:0")?;
            let worker = Process::new(work, address.to_string()).start()?;
            println!("sum of squares: {}", ask(&manager)?);
            worker.join()??;
        }
    }
    Ok(())
}
