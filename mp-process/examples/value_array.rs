//! A number and a row of numbers in shared memory, changed by a child.
#![expect(clippy::print_stdout, reason = "what an example says is its result")]

use std::error::Error;

use mp_process::Process;
use mp_shm::{Array, Value};

#[expect(clippy::approx_constant, reason = "the number that the program is known by")]
fn change((number, row): (Value<f64>, Array<i32>)) {
    number.store(3.1415927);
    for index in 0..row.len() {
        row.at(index).unwrap().update(|value| -value);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    mp_process::init();
    let number = Value::new(0.0)?;
    let row = Array::from_slice(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])?;
    Process::new(change, (number.clone(), row.clone())).start()?.join()?;
    println!("{}", number.load());
    println!("{:?}", row.to_vec());
    Ok(())
}
