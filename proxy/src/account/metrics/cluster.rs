//! What is told of the cluster.

use prometheus::{GaugeVec, Histogram, IntCounter, IntGauge, Opts, Result};

use super::Make;

/// Counters of `[cluster]`.
#[derive(Debug)]
pub(crate) struct ClusterMetrics {
    /// Whether Redis is there.
    pub(crate) connected: IntGauge,
    /// Whether purges may have been missed.
    pub(crate) behind: IntGauge,
    /// Purges that wait for Redis.
    pub(crate) unpublished: IntGauge,
    /// Purges published.
    pub(crate) published: IntCounter,
    /// Purges of other nodes, as they came.
    pub(crate) applied: IntCounter,
    /// Purges of other nodes, after this one was away.
    pub(crate) replayed: IntCounter,
    /// How long purges waited for other nodes.
    pub(crate) wait: Histogram,
    /// Keys of session tickets that are shared.
    pub(crate) ticket_keys: IntGauge,
    /// The period of those.
    pub(crate) ticket_period: IntGauge,
    lag: GaugeVec,
}

impl ClusterMetrics {
    pub(super) fn new(make: &Make) -> Result<Self> {
        let purges = make.counters(
            "forebay_cluster_purges_total",
            "Purges published to other nodes, and of other nodes applied here.",
            &["way"],
        )?;
        let way = |way| purges.get_metric_with_label_values(&[way]);
        Ok(Self {
            connected: make.gauge("forebay_cluster_connected", "1 while Redis can be reached, else 0.")?,
            behind: make.gauge("forebay_cluster_behind", "1 while purges of other nodes may have been missed.")?,
            unpublished: make.gauge("forebay_cluster_unpublished", "Purges that wait for Redis to be back.")?,
            published: way("published")?,
            applied: way("applied")?,
            replayed: way("replayed")?,
            wait: make
                .histogram(
                    "forebay_cluster_wait_seconds",
                    "How long purges waited for the other nodes.",
                    &[],
                    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5],
                )?
                .get_metric_with_label_values::<&str>(&[])?,
            ticket_keys: make
                .gauge("forebay_cluster_ticket_keys", "Keys of TLS session tickets shared with other nodes.")?,
            ticket_period: make
                .gauge("forebay_cluster_ticket_period", "Number of the rotation that TLS session tickets are in.")?,
            lag: make.add(GaugeVec::new(
                Opts::new("forebay_cluster_lag_seconds", "How far a node is behind the one that is farthest."),
                &["node"],
            )?)?,
        })
    }

    /// How far a node is behind, milliseconds.
    pub(crate) fn lag(&self, node: &str, millis: u64) {
        self.lag.with_label_values(&[node]).set(millis as f64 / 1000.0);
    }
}
