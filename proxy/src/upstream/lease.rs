//! A request that a server has.

use std::sync::Arc;
use std::time::Duration;

use forebay_cache::clock::Timestamp;

use super::registry::PoolState;
use super::server::Server;

/// One request, counted at its server until this is dropped. Its holder tells what came of it; who never connects, or ends
/// without fault of the server's, tells nothing.
#[derive(Debug)]
pub(crate) struct Lease {
    server: Arc<Server>,
    pool: Arc<PoolState>,
}

impl Lease {
    /// For a request that was counted by [`Server::enter`].
    pub(super) fn new(server: &Arc<Server>, pool: &Arc<PoolState>) -> Self {
        Self { server: Arc::clone(server), pool: Arc::clone(pool) }
    }

    /// Who has it.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// No connection could be made: others are asked first for a while.
    pub(crate) fn refused(&self, now: Timestamp) {
        self.server.metrics.connect_error();
        if self.server.state.standing.lock().refused(self.server.patience, now) {
            self.tell_of_ejection();
        }
    }

    /// The connection was made and then failed before there was an answer.
    pub(crate) fn failed(&self, now: Timestamp) {
        if self.server.state.standing.lock().failed(self.server.patience, now) {
            self.tell_of_ejection();
        }
    }

    /// There was an answer (for a protocol that has none, a connection), after `took`.
    pub(crate) fn answered(&self, took: Duration, now: Timestamp) {
        self.server.answered(took, now);
        if self.server.state.standing.lock().succeeded(now) {
            tracing::info!(server = %self.server.label, "server answers again");
        }
    }

    fn tell_of_ejection(&self) {
        self.server.metrics.ejected();
        tracing::warn!(server = %self.server.label, "server failed: others are asked first for a while");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.server.leave();
        self.pool.queue.call();
    }
}
