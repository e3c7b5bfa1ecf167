//! What is purged, by whom, and what clears up behind it.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Result};

use super::Make;
use crate::purge::Origin;

const KINDS: [&str; 6] = ["url", "prefix", "regex", "tag", "host", "all"];
const ORIGINS: [Origin; 4] = [Origin::Site, Origin::Admin, Origin::Upstream, Origin::Cluster];

/// The counters of purges.
#[derive(Debug)]
pub(crate) struct PurgeMetrics {
    purges: IntCounterVec,
    requests: IntCounterVec,
    denied: IntCounterVec,
    refused: IntCounterVec,
    removed: IntCounter,
    swept: IntCounter,
    /// Set before [`super::Metrics::render`].
    pub(crate) records: IntGauge,
    /// Brought up to date before [`super::Metrics::render`].
    pub(crate) widened: IntCounter,
}

impl PurgeMetrics {
    pub(super) fn new(make: &Make) -> Result<Self> {
        let metrics = Self {
            purges: make.counters("forebay_purges_total", "Purges carried out.", &["kind", "origin"])?,
            requests: make.counters(
                "forebay_purge_dialects_total",
                "Purges, by how they were asked for.",
                &["dialect"],
            )?,
            denied: make.counters(
                "forebay_purge_denied_total",
                "Purges of those who may not: nothing was purged.",
                &["origin"],
            )?,
            refused: make.counters(
                "forebay_purge_malformed_total",
                "Purges that could not be understood: nothing was purged.",
                &["origin"],
            )?,
            removed: make.counter(
                "forebay_purge_responses_total",
                "Stored responses that purges took out of use, as far as they were found at once.",
            )?,
            swept: make.counter("forebay_purge_swept_total", "Purged responses that the sweep removed afterwards.")?,
            records: make.gauge("forebay_purge_records", "Purges that may still concern something stored.")?,
            widened: make.counter(
                "forebay_purge_widened_total",
                "Purges that took more with them than was asked for, because there were too many at once.",
            )?,
        };
        for origin in ORIGINS {
            for kind in KINDS {
                metrics.purges.get_metric_with_label_values(&[kind, origin.word()])?;
            }
            metrics.denied.get_metric_with_label_values(&[origin.word()])?;
            metrics.refused.get_metric_with_label_values(&[origin.word()])?;
        }
        metrics.requests.get_metric_with_label_values(&["x-purge-method"])?;
        Ok(metrics)
    }

    /// A purge was carried out. `dialect` is one of ours, never a client's.
    pub(crate) fn carried_out(&self, kind: &str, origin: Origin, dialect: &str, count: u64) {
        self.purges.with_label_values(&[kind, origin.word()]).inc();
        self.requests.with_label_values(&[dialect]).inc();
        self.removed.inc_by(count);
    }

    /// Somebody may not purge.
    pub(crate) fn denied(&self, origin: Origin) {
        self.denied.with_label_values(&[origin.word()]).inc();
    }

    /// A purge was not understood.
    pub(crate) fn refused(&self, origin: Origin) {
        self.refused.with_label_values(&[origin.word()]).inc();
    }

    /// The sweep removed so many responses.
    pub(crate) fn swept(&self, count: u64) {
        self.swept.inc_by(count);
    }
}
