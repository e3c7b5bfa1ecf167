//! Purging. Every purge, whoever asks and however, goes through [`carry_out`].
//!
//! - `dialect`: what a request asks for. `target`: the keys and records that stands for, under the rules of its site.
//! - `site`: requests to a site itself. `api`: those to the admin listener. `litespeed`: responses of an upstream.
//! - `sweeper`: the thread that clears up behind purges.

pub(crate) mod api;
pub(crate) mod dialect;
pub(crate) mod litespeed;
pub(crate) mod reply;
pub(crate) mod rights;
pub(crate) mod site;
pub(crate) mod sweeper;
pub(crate) mod target;

use forebay_cache::clock::Clock as _;
use forebay_cache::key::CacheKey;
use forebay_cache::purge::{Purge, PurgeError};

use crate::cluster::NodeReport;
use crate::runtime::Lasting;

/// Where a purge comes from, for metrics and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A request to a site.
    Site,
    /// A request to the admin listener.
    Admin,
    /// A response of an upstream.
    Upstream,
    /// Another node.
    Cluster,
}

impl Origin {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Admin => "admin",
            Self::Upstream => "upstream",
            Self::Cluster => "cluster",
        }
    }
}

/// A purge, and how it came.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) purge: Purge,
    /// Keys that the purge of a URL is most likely about.
    pub(crate) keys: Vec<CacheKey>,
    /// Only count.
    pub(crate) dry_run: bool,
    pub(crate) origin: Origin,
    pub(crate) dialect: &'static str,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Stored responses taken out of use, as far as they were found at once.
    pub(crate) count: u64,
    /// Whether the purge holds after a restart.
    pub(crate) durable: bool,
    /// What each node made of it; empty without a cluster.
    pub(crate) nodes: Vec<NodeReport>,
}

/// Carries a purge out: the one way for all of them. When this returns, nothing it concerns is used any more, and (where
/// it says so) never will be.
///
/// # Errors
///
/// It cannot be done; nothing was purged.
pub(crate) async fn carry_out(lasting: &Lasting, order: &Order) -> Result<Outcome, PurgeError> {
    let Order { purge, keys, dry_run, origin, dialect } = order;
    let now = lasting.clock.now();
    if *dry_run {
        let count = lasting.store.would_purge(purge, keys, now).await?;
        return Ok(Outcome { count, durable: true, nodes: Vec::new() });
    }
    let claim = lasting.cluster.as_ref().filter(|_| *origin != Origin::Cluster).and_then(|cluster| cluster.claim());
    let purged = lasting.store.purge(purge, keys, now).await?;
    lasting.metrics.purges.carried_out(purge.kind(), *origin, dialect, purged.count);
    tracing::debug!(
        kind = purge.kind(),
        origin = origin.word(),
        dialect,
        count = purged.count,
        soft = purge.soft,
        "purged"
    );
    if !purged.durable {
        tracing::error!(kind = purge.kind(), "purged, but that could not be written down: a restart may undo it");
    }
    let nodes = match &lasting.cluster {
        // Whoever caused a purge by the way does not wait for it.
        Some(cluster) if *origin != Origin::Cluster => {
            cluster.announce(purge, keys, purged.count, *origin != Origin::Upstream, claim).await
        }
        _ => Vec::new(),
    };
    let elsewhere: u64 = nodes.iter().skip(1).filter_map(|node| node.count).sum();
    Ok(Outcome { count: purged.count + elsewhere, durable: purged.durable, nodes })
}
