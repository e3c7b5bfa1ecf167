//! The operator's listener: metrics, readiness, a status page, and a look at the disk tier. Never on the public side.
//!
//! A server of its own, a few hundred lines: one request a connection, GET, HEAD and purges, every wait bounded. It shares nothing
//! with the serving path but the [`AdminState`] it reads, so it answers while the proxy drowns.

mod connection;
mod explain;
mod host;
pub(crate) mod inspect;
mod operator;
mod page;
mod purges;
mod request;
mod response;
mod routes;
mod status;
mod upstreams;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use forebay_config::model::UpstreamServer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use self::inspect::Look;
use crate::purge::api::Call;
use crate::purge::reply::Reply;

pub(crate) use self::operator::Operator;
use crate::upstream::{Order, Unchanged};

pub(crate) use self::status::{ConnectionStatus, ServerStatus, SiteStatus, StatusReport, TierStatus, UpstreamStatus};

use crate::explain::Question;

/// Connections served at a time; more wait in the kernel's backlog.
const CONNECTIONS: usize = 64;
/// After `accept` fails (file descriptors used up, most likely), for how long not to try again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What an operator may want of a pool.
#[derive(Debug)]
pub(crate) enum Change {
    /// This server, too.
    Add(Box<UpstreamServer>),
    /// Not this one any more.
    Remove(String),
}

/// What the admin listener asks of the running proxy. Called on the admin task: all but explanations and purges answer at
/// once, without waiting.
#[async_trait]
pub(crate) trait AdminState {
    /// Purges, or says why not.
    async fn purge(&self, call: &Call<'_>) -> Reply;

    /// Why no traffic should be sent here; empty when ready.
    fn ready(&self) -> Vec<String>;

    /// What does not work as it should, although traffic is served.
    fn degraded(&self) -> Vec<String> {
        Vec::new()
    }

    /// Every metric in the Prometheus text format 0.0.4.
    fn metrics(&self) -> String;

    /// What the status page shows.
    fn status(&self) -> StatusReport;

    /// What is forwarded and why, as JSON.
    fn top(&self) -> Value {
        Value::Null
    }

    /// What would become of a request, as JSON.
    ///
    /// # Errors
    ///
    /// What is wrong with the question.
    async fn explain(&self, question: Question) -> Result<Value, String> {
        Err(format!("{} cannot be explained here", question.url))
    }

    /// Looks at the disk tier: what there is to tell comes line by line. Otherwise why not.
    fn inspect(&self, look: Look) -> Result<mpsc::Receiver<String>, String> {
        let _ = look;
        Err("there is no disk tier".to_owned())
    }

    /// Pools and their servers.
    fn upstreams(&self) -> Vec<UpstreamStatus> {
        Vec::new()
    }

    /// Tells the server of this name, in this pool or in all; how many servers that are.
    fn order(&self, _pool: Option<&str>, _server: &str, _order: Order) -> usize {
        0
    }

    /// Adds a server to a pool, or removes one; how many that are.
    ///
    /// # Errors
    ///
    /// Why it stays as it is.
    fn change(&self, _pool: &str, _change: Change) -> Result<usize, Unchanged> {
        Err(Unchanged::Unknown)
    }

    /// Names the listener may be asked for by, beside addresses, `localhost` and names without a dot.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Answers on `listener` until `shutdown` holds true (or its sender is gone), then finishes what is being answered.
pub(crate) async fn serve(
    listener: TcpListener,
    state: Arc<dyn AdminState + Send + Sync>,
    mut shutdown: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            // Never closed, so never an error.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let state = Arc::clone(&state);
                    connections.spawn(async move {
                        connection::answer(stream, &*state).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        _ = shutdown.wait_for(|stop| *stop) => {}
    }
    drop(listener);
    // Each has a deadline of its own, so this ends.
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
