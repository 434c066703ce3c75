//! Python: the first example of `multiprocessing.Value` and `Array`, with threads for processes.
#![expect(clippy::print_stdout, reason = "an example")]

use mp_shm::{Array, Error, Value};

fn work(number: &Value<f64>, array: &Array<i32>) {
    number.store(std::f64::consts::PI);
    for i in 0..array.len() {
        array[i].update(|element| -element);
    }
}

fn main() -> Result<(), Error> {
    let number = Value::new(0.0)?;
    let array = Array::from_slice(&Vec::from_iter(0..10))?;
    std::thread::scope(|scope| {
        scope.spawn(|| work(&number, &array));
    });
    println!("{}", number.load());
    println!("{array:?}");
    Ok(())
}
