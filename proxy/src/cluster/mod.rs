//! Cluster: one purge for all nodes, through a stream of Redis or Valkey.
//!
//! A purge is carried out here first, then published; every other node applies what is published, in its order, and
//! acknowledges it with what it found. A node remembers how far it has come ([`position`]): what was published while it
//! was down or cut off it applies before it uses anything that was stored before. Whatever it cannot be sure of having
//! seen counts as a purge of everything.
//!
//! Redis is never waited for by a request: when it is lost, purges are carried out here, and published later.

mod entry;
mod ledger;
mod link;
mod position;
mod state;
mod tickets;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use forebay_cache::clock::Timestamp;
use forebay_cache::key::CacheKey;
use forebay_cache::purge::Purge;
use forebay_cache::stored::StoredResponse;
use forebay_config::{Config, model};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use self::entry::Entry;
pub(crate) use self::ledger::{Claim, Ledger, Term};
pub(crate) use self::link::ClusterService;
pub(crate) use self::wire::{Server, cluster_connection, connection};
use crate::account::metrics::{ClusterMetrics, Metrics};

/// Purges that wait to be handed to the link; beyond them they are carried out here alone, as if Redis were lost.
const QUEUE: usize = 65_536;

/// The `[cluster]` of the config.
pub(crate) struct Cluster {
    config: model::Cluster,
    /// Where the position is kept.
    state: PathBuf,
    /// Tells the entries of this process from those of an earlier one with the same name.
    run: u64,
    publish: mpsc::Sender<Publish>,
    /// Taken by the link.
    published: Mutex<Option<mpsc::Receiver<Publish>>>,
    /// What was asked for before this (milliseconds) may have been purged elsewhere, and is not used. 0: all is known.
    floor: AtomicI64,
    /// What was purged when, where nodes share what they store.
    ledger: Option<Ledger>,
    /// Of purges that there was no room for in `publish`: one of everything takes their place.
    overflow: Mutex<Vec<Option<Claim>>>,
    metrics: Arc<ClusterMetrics>,
}

/// A purge on its way to the other nodes.
struct Publish {
    entry: Entry,
    tell: mpsc::UnboundedSender<Told>,
    claim: Option<Claim>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// It is out. These nodes should answer; these are not there at the moment.
    Published { expected: Vec<String>, away: Vec<String> },
    /// Redis is lost: it will be published later.
    Later,
    /// A node has applied it.
    Applied { node: String, count: u64 },
}

/// What a node made of a purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeReport {
    pub(crate) node: String,
    /// Stored responses it found at once; `None`: it has not acknowledged.
    pub(crate) count: Option<u64>,
    /// `ok`, `waiting` (no answer in time), `away` (it will catch up when it is back), `lost` (Redis is: all will).
    pub(crate) status: &'static str,
}

impl Cluster {
    /// Nothing is connected yet; until it has caught up, what was stored before `now` is not used.
    pub(crate) fn new(config: &Config, words: &model::Cluster, metrics: &Metrics, now: Timestamp) -> Self {
        let (publish, published) = mpsc::channel(QUEUE);
        metrics.cluster.behind.set(1);
        metrics.cluster.lag(&words.node, 0);
        Self {
            config: words.clone(),
            state: config.server.state_dir.join("cluster"),
            run: ahash::RandomState::new().hash_one(std::process::id()),
            publish,
            published: Mutex::new(Some(published)),
            floor: AtomicI64::new(now.millis().max(1)),
            ledger: config.shared.as_ref().map(|_| Ledger::default()),
            overflow: Mutex::default(),
            metrics: Arc::clone(&metrics.cluster),
        }
    }

    /// Whether a purge may have been missed that concerns `response`: it was asked for before this node had caught up.
    pub(crate) fn hides(&self, response: &StoredResponse) -> bool {
        let floor = self.floor.load(Ordering::Acquire);
        floor != 0 && response.metadata().request_time.millis() < floor
    }

    /// Whether purges may have been missed.
    pub(crate) fn is_behind(&self) -> bool {
        self.floor.load(Ordering::Relaxed) != 0
    }

    /// Whether Redis is there.
    pub(crate) fn is_connected(&self) -> bool {
        self.metrics.connected.get() != 0
    }

    /// What was purged when, where nodes share what they store.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Before a purge is carried out here that is announced then.
    pub(crate) fn claim(&self) -> Option<Claim> {
        self.ledger.as_ref().map(Ledger::claim)
    }

    fn fall_behind(&self, now: Timestamp) {
        if let Some(ledger) = &self.ledger {
            ledger.close();
        }
        self.floor.store(now.millis().max(1), Ordering::Release);
        self.metrics.behind.set(1);
    }

    fn caught_up(&self) {
        self.floor.store(0, Ordering::Release);
        self.metrics.behind.set(0);
    }

    /// Publishes a purge that was carried out here, with `count` stored responses found. Waits for the other nodes,
    /// `cluster.timeout` at most, if `waits`.
    pub(crate) async fn announce(
        &self,
        purge: &Purge,
        keys: &[CacheKey],
        count: u64,
        waits: bool,
        claim: Option<Claim>,
    ) -> Vec<NodeReport> {
        let started = Instant::now();
        let mut reports = vec![NodeReport { node: self.config.node.clone(), count: Some(count), status: "ok" }];
        let report = |node: String, count, status| NodeReport { node, count, status };
        let (tell, mut told) = mpsc::unbounded_channel();
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        let entry = Entry { node: self.config.node.clone(), run: self.run, purge: purge.clone(), keys };
        if let Err(unsent) = self.publish.try_send(Publish { entry, tell, claim }) {
            tracing::error!("more purges than can be published: everything is purged at the other nodes instead");
            self.overflow.lock().push(unsent.into_inner().claim);
        }
        if !waits {
            return reports;
        }
        let mut left: Vec<String> = Vec::new();
        let wait = async {
            loop {
                match told.recv().await {
                    None | Some(Told::Later) => return reports.push(report("*".to_owned(), None, "lost")),
                    Some(Told::Published { expected, away }) => {
                        left = expected;
                        reports.extend(away.into_iter().map(|node| report(node, None, "away")));
                    }
                    Some(Told::Applied { node, count }) => {
                        left.retain(|other| *other != node);
                        // One that was away may be back.
                        reports.retain(|known| known.node != node);
                        reports.push(report(node, Some(count), "ok"));
                    }
                }
                if left.is_empty() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(self.config.timeout, wait).await;
        reports.extend(left.into_iter().map(|node| report(node, None, "waiting")));
        self.metrics.wait.observe(started.elapsed().as_secs_f64());
        reports
    }

    /// How long an answer of Redis is waited for.
    const fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }
}
