//! Python's Barrier example: a server and its client start together.

use std::time::Duration;

use mp_sync::Barrier;

#[expect(clippy::print_stdout, reason = "an example")]
fn main() -> Result<(), mp_sync::Error> {
    let start = Barrier::with_timeout(2, Duration::from_secs(5))?;
    let begin = || println!("both are here"); // run by the one who comes last
    std::thread::scope(|s| {
        let server = s.spawn(|| {
            println!("server: ready");
            start.wait_with(begin)
        });
        let place = start.wait_with(begin)?;
        println!("client: came as number {place}");
        server.join().unwrap().map(drop)
    })
}
