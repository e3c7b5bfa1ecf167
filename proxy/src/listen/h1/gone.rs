//! Whether the client of a connection has left while its request is served.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Shared by the half that reads and the half that writes.
#[derive(Debug, Default)]
pub(super) struct Gone {
    gone: AtomicBool,
    rung: Notify,
}

impl Gone {
    /// The client has closed its side.
    pub(super) fn set(&self) {
        self.gone.store(true, Ordering::Release);
        self.rung.notify_waiters();
    }

    /// Waits until it has.
    pub(super) async fn wait(&self) {
        loop {
            let mut rung = std::pin::pin!(self.rung.notified());
            rung.as_mut().enable();
            if self.gone.load(Ordering::Acquire) {
                return;
            }
            rung.await;
        }
    }
}
