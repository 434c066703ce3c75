//! A child changes a dict with three kinds of keys and turns a list round.

use std::fmt;

use mp_manager::{Dict, List, Manager};
use mp_process::Process;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Any {
    Int(i64),
    Text(String),
    Float(f64),
    None,
}

impl fmt::Display for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Any::Int(n) => write!(f, "{n}"),
            Any::Text(text) => write!(f, "'{text}'"),
            Any::Float(x) => write!(f, "{x}"),
            Any::None => f.write_str("None"),
        }
    }
}

fn change((dict, list): (Dict<Any, Any>, List<u32>)) -> Result<(), String> {
    let change = || {
        dict.set(&Any::Int(1), &Any::Text("1".into()))?;
        dict.set(&Any::Text("2".into()), &Any::Int(2))?;
        dict.set(&Any::Float(0.25), &Any::None)?;
        list.reverse()
    };
    change().map_err(|error: mp_manager::Error| error.to_string())
}

#[expect(clippy::print_stdout, reason = "a program speaks")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    mp_process::init();
    let manager = Manager::start()?;
    let (dict, list) = (manager.dict()?, manager.list_of(0..10)?);
    Process::new(change, (dict.clone(), list.clone())).start()?.join()??;
    let pairs: Vec<String> = dict.iter()?.map(|(key, value)| format!("{key}: {value}")).collect();
    println!("{{{}}}", pairs.join(", "));
    println!("{:?}", list.to_vec()?);
    Ok(())
}
