//! What pools need done beside requests, on a runtime of its own: health checks, names, sessions.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where work is handed in, before the service runs or while it does.
#[derive(Debug)]
pub(super) struct Upkeep {
    work: UnboundedSender<Work>,
    waiting: Mutex<Option<UnboundedReceiver<Work>>>,
}

impl Default for Upkeep {
    fn default() -> Self {
        let (work, waiting) = unbounded_channel();
        Self { work, waiting: Mutex::new(Some(waiting)) }
    }
}

impl Upkeep {
    /// Hands in work that goes on until it ends by itself.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let _ = self.work.send(Box::pin(work));
    }

    /// The service that does the work; once.
    pub(super) fn service(&self) -> Option<UpkeepService> {
        self.waiting.lock().take().map(|work| UpkeepService { work: Some(work) })
    }
}

/// See [`Upkeep::service`].
pub(crate) struct UpkeepService {
    work: Option<UnboundedReceiver<Work>>,
}

#[async_trait]
impl Service for UpkeepService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(mut work) = self.work.take() else { return };
        loop {
            tokio::select! {
                Some(work) = work.recv() => drop(tokio::spawn(work)),
                // Pingora says so when the drain is over.
                _ = shutdown.changed() => return,
            }
        }
    }

    fn name(&self) -> &'static str {
        "upkeep"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
