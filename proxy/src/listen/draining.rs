//! Whether the process drains, as the connections of an accept loop learn of it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// One for each accept loop: its connections, which wait on the same thread, share no lock with others.
#[derive(Debug, Default)]
pub(crate) struct Draining {
    is_on: AtomicBool,
    begun: Notify,
}

impl Draining {
    pub(crate) fn begin(&self) {
        self.is_on.store(true, Ordering::Release);
        self.begun.notify_waiters();
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Is ready when it begins. What it was before is to be asked afterwards.
    pub(crate) fn begun(&self) -> Notified<'_> {
        self.begun.notified()
    }
}
