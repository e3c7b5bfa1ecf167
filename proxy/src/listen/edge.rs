//! The public side as a Pingora service: a current-thread runtime a worker, each accepting from every listener.
//!
//! A connection stays on the thread that accepted it, so that serving a hit touches no other core. The listening
//! sockets are shared by the threads rather than opened once a thread with SO_REUSEPORT: a second instance on the same
//! port is told so, and no connection is lost in a closed socket's queue when the process drains.

use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::sync::watch;

use super::accept::{self, Listener};
use crate::runtime::Shared;

/// Threads a worker may have for what blocks (cold files, spool files, compression). Each costs a stack and a heap.
const BLOCKING_THREADS: usize = 16;

/// All public listeners.
pub(crate) struct Edge {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) threads: usize,
    /// Says true once: stop accepting, finish what is in flight.
    pub(crate) drain: watch::Receiver<bool>,
}

#[async_trait]
impl Service for Edge {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let (stop, stopped) = watch::channel(());
        let mut workers = Vec::new();
        for index in 0..self.threads {
            let listeners = match self.listeners.iter().map(Listener::share).collect::<Result<Vec<_>, _>>() {
                Ok(listeners) => listeners,
                Err(error) => {
                    tracing::error!(%error, "cannot share the listening sockets");
                    continue;
                }
            };
            let shared = Arc::clone(&self.shared);
            let (drain, stopped) = (self.drain.clone(), stopped.clone());
            let worker = thread::Builder::new()
                .name(format!("edge-{index}"))
                .spawn(move || worker(&shared, listeners, &drain, stopped));
            match worker {
                Ok(worker) => workers.push(worker),
                Err(error) => tracing::error!(%error, "cannot start a worker thread"),
            }
        }
        // The listening sockets live in the workers alone: when those drain, the sockets are closed.
        self.listeners.clear();
        drop(stopped);
        let _ = shutdown.changed().await;
        drop(stop);
        for worker in workers {
            let _ = tokio::task::spawn_blocking(move || worker.join()).await;
        }
    }

    fn name(&self) -> &'static str {
        "edge"
    }

    /// The workers are threads of our own; Pingora's runtime only waits for them.
    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

fn worker(
    shared: &Arc<Shared>,
    listeners: Vec<Listener>,
    drain: &watch::Receiver<bool>,
    mut stopped: watch::Receiver<()>,
) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = match builder.enable_all().max_blocking_threads(BLOCKING_THREADS).build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "cannot start a worker runtime"),
    };
    runtime.block_on(async {
        for listener in listeners {
            tokio::spawn(accept::run(Arc::clone(shared), listener, drain.clone()));
        }
        // Requests in flight go on until the process says that it ends.
        let _ = stopped.changed().await;
    });
}
