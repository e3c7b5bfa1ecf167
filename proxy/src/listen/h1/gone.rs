//! Whether the client of a connection has left while its request is served.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;

/// Shared by the half that reads and the half that writes.
#[derive(Debug, Default)]
pub(super) struct Gone {
    gone: AtomicBool,
    /// Who waits for it: nobody but the one who writes.
    waits: Mutex<Option<Waker>>,
}

impl Gone {
    /// The client has closed its side.
    pub(super) fn set(&self) {
        self.gone.store(true, Ordering::Release);
        if let Some(waits) = self.waits.lock().take() {
            waits.wake();
        }
    }

    /// Waits until it has.
    pub(super) async fn wait(&self) {
        poll_fn(|cx| {
            let mut waits = self.waits.lock();
            // Under the lock: who sets it looks for who waits after that.
            if self.gone.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            match &mut *waits {
                Some(waits) => waits.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }
}
