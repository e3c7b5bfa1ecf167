//! Faults for tests: operations that fail on command.

use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::io::Op;

/// Which operations fail, and how.
#[derive(Debug, Default)]
pub(super) struct Faults {
    failing: Mutex<Vec<(Op, i32)>>,
    delay: Mutex<Duration>,
}

impl Faults {
    /// From now on `op` fails with `errno`.
    pub(super) fn fail(&self, op: Op, errno: rustix::io::Errno) {
        self.failing.lock().push((op, errno.raw_os_error()));
    }

    /// From now on every operation takes so long at least, or until the device is healed.
    pub(super) fn slow_down(&self, delay: Duration) {
        *self.delay.lock() = delay;
    }

    /// Everything works again, and at once.
    pub(super) fn heal(&self) {
        self.failing.lock().clear();
        self.slow_down(Duration::ZERO);
    }

    pub(super) fn before(&self, op: Op) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < *self.delay.lock() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let failing = self.failing.lock();
        let errno = failing.iter().find(|(failing, _)| *failing == op).map(|(_, errno)| *errno);
        errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }
}
