//! One server for the tests that need nothing of their own.

use std::sync::LazyLock;

use mp_manager::Manager;

pub(crate) fn manager() -> &'static Manager {
    static MANAGER: LazyLock<Manager> = LazyLock::new(|| Manager::start().unwrap());
    &MANAGER
}
