//! What signals do, and how the process ends: listening sockets first, requests in flight last.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::reload;
use crate::runtime::Shared;

/// The signals of the process.
pub(crate) struct Signals {
    shared: Arc<Shared>,
    drain: watch::Sender<bool>,
    /// What HUP reads again; `None` for the demo.
    config: Option<PathBuf>,
}

impl Signals {
    pub(crate) fn new(shared: Arc<Shared>, drain: watch::Sender<bool>, config: Option<PathBuf>) -> Self {
        Self { shared, drain, config }
    }

    /// Stops accepting and waits for what is in flight, `server.drain` at most.
    async fn drain(&self) {
        let limit = self.shared.runtime().config.server.drain;
        tracing::info!(?limit, "draining");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let _ = self.drain.send(true);
        // Every connection holds a permit: when all of them are here, nobody is left.
        let all = u32::try_from(self.shared.connections_limit).unwrap_or(u32::MAX);
        match timeout(limit, self.shared.connections.acquire_many(all)).await {
            Ok(_) => tracing::info!("drained"),
            Err(_) => tracing::warn!("requests were still in flight when the time to drain was up"),
        }
        // Not before: what the last requests invalidate has to reach the log. Who takes over waits for this.
        self.shared.lasting.store.release().await;
    }

    async fn reload(&self) {
        let Some(path) = self.config.clone() else { return };
        let shared = Arc::clone(&self.shared);
        let _ = tokio::task::spawn_blocking(move || reload::reload(&shared, &path)).await;
    }

    async fn reopen_log(&self) {
        let shared = Arc::clone(&self.shared);
        let _ = tokio::task::spawn_blocking(move || shared.lasting.account.reopen_log()).await;
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    /// Handles signals until one of them ends the process. Pingora is told to end at once: by then the drain is over.
    async fn recv(&self) -> ShutdownSignal {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::quit(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::user_defined1(),
        ];
        let Ok([mut terminate, mut quit, mut interrupt, mut hangup, mut reopen]) = all(kinds) else {
            tracing::error!("cannot listen for signals");
            return std::future::pending().await;
        };
        // Not before: a signal that nobody handles yet would end the process.
        eprintln!("ready");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = quit.recv() => break,
                _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
                _ = hangup.recv() => self.reload().await,
                _ = reopen.recv() => self.reopen_log().await,
            }
        }
        // Whoever asks twice does not want to wait.
        tokio::select! {
            () = self.drain() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        ShutdownSignal::FastShutdown
    }
}

fn all<const N: usize>(kinds: [SignalKind; N]) -> Result<[Signal; N], ()> {
    let signals: Vec<Signal> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    signals.try_into().map_err(|_| ())
}
