use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use mp_sys::pidfd::{self, Status};
use mp_sys::poll::{Interest, poll, wait_for};
use mp_sys::{Deadline, Errno};

fn soon() -> Option<Deadline> {
    Some(Deadline::after(Duration::from_secs(30)))
}

#[test]
fn a_pidfd_tells_how_its_process_ended() {
    #[expect(clippy::zombie_processes, reason = "it is reaped by its pidfd")]
    let child = Command::new("sleep").arg("60").spawn().unwrap();
    let process = pidfd::open(child.id() as i32).unwrap();
    assert_eq!(pidfd::try_reap(&process), Ok(None), "it runs");
    assert_eq!(wait_for(process.as_fd(), Interest::Readable, Some(Deadline::now())), Ok(false));
    assert_eq!(pidfd::signal(&process, 999), Err(Errno::INVAL));
    assert_eq!(pidfd::signal(&process, 15), Ok(()));
    assert_eq!(wait_for(process.as_fd(), Interest::Readable, soon()), Ok(true));
    assert_eq!(pidfd::try_reap(&process), Ok(Some(Status::Signaled(15))));
    assert_eq!(pidfd::try_reap(&process), Err(Errno::CHILD), "once");
    assert_eq!(pidfd::signal(&process, 15), Err(Errno::SRCH), "never another's pid");
}

#[test]
fn an_exit_code_is_eight_bits() {
    #[expect(clippy::zombie_processes, reason = "it is reaped by its pidfd")]
    let child = Command::new("sh").args(["-c", "exit 259"]).spawn().unwrap();
    let process = pidfd::open(child.id() as i32).unwrap();
    assert_eq!(wait_for(process.as_fd(), Interest::Readable, soon()), Ok(true));
    assert_eq!(pidfd::try_reap(&process), Ok(Some(Status::Exited(3))));
}

#[test]
fn no_such_process_is_an_error() {
    assert_eq!(pidfd::open(i32::MAX).unwrap_err(), Errno::SRCH);
    assert_eq!(pidfd::open(-1).unwrap_err(), Errno::INVAL);
    let me = pidfd::open(std::process::id() as i32).unwrap();
    assert_eq!(pidfd::try_reap(&me), Err(Errno::CHILD));
}

#[test]
fn poll_says_which_are_ready() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let both = [(reader.as_fd(), Interest::Readable), (writer.as_fd(), Interest::Writable)];
    assert_eq!(poll(&both, None).unwrap(), [false, true]);
    rustix::io::write(&writer, b"x").unwrap();
    assert_eq!(poll(&both, soon()).unwrap(), [true, true]);
    rustix::io::read(&reader, &mut [0; 1]).unwrap();
    let shortly = Some(Deadline::after(Duration::from_millis(5)));
    assert_eq!(poll(&both[..1], shortly).unwrap(), [false]);
    drop(writer);
    let end = [(reader.as_fd(), Interest::Readable)];
    assert_eq!(poll(&end, soon()).unwrap(), [true], "the end is something to read");
}
