//! Python: the examples of `multiprocessing.shared_memory`. Without an argument it makes memory
//! and starts itself again to look at it.
#![expect(clippy::print_stdout, reason = "an example")]

use std::process::Command;

use mp_shm::{Item, ShareableList, SharedMemory};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let [_, memory, list] = Vec::from_iter(std::env::args()).as_slice() {
        return look(memory, list);
    }
    let memory = SharedMemory::create(None, 10)?;
    memory.write(0, b"howdy")?;
    let items = ["howdy".into(), (-273.154).into(), Item::None, b"\0\0".into()];
    let list = ShareableList::create(None, items)?;
    let program = std::env::current_exe()?;
    let status = Command::new(program).args([memory.name(), list.name()]).status()?;
    println!("{status}, and the list is {:?}", list.to_vec()?);
    Ok(())
}

fn look(memory: &str, list: &str) -> Result<(), Box<dyn std::error::Error>> {
    let memory = SharedMemory::attach(memory)?;
    let mut bytes = vec![0; 5];
    memory.read(0, &mut bytes)?;
    println!("{} bytes, the first are {:?}", memory.size(), String::from_utf8(bytes)?);
    let list = ShareableList::attach(list)?;
    println!("{:?}", list.get(1)?);
    list.set(2, 42)?;
    Ok(())
}
