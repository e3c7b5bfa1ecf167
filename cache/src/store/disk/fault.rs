//! Faults for tests: operations that fail on command.

use std::io;

use parking_lot::Mutex;

use super::io::Op;

/// Which operations fail, and how.
#[derive(Debug, Default)]
pub(super) struct Faults {
    failing: Mutex<Vec<(Op, i32)>>,
}

impl Faults {
    /// From now on `op` fails with `errno`.
    pub(super) fn fail(&self, op: Op, errno: rustix::io::Errno) {
        self.failing.lock().push((op, errno.raw_os_error()));
    }

    /// Everything works again.
    pub(super) fn heal(&self) {
        self.failing.lock().clear();
    }

    pub(super) fn before(&self, op: Op) -> io::Result<()> {
        let failing = self.failing.lock();
        let errno = failing.iter().find(|(failing, _)| *failing == op).map(|(_, errno)| *errno);
        errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }
}
