//! What is told of the shared tier.

use prometheus::{Histogram, IntCounterVec, IntGauge, Result};

use super::Make;

/// Seconds of a look-up within a network, and what is too long.
const SECONDS: [f64; 9] = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5];

/// Counters of `[cache.shared]`.
#[derive(Debug)]
pub(crate) struct SharedMetrics {
    /// Whether it is there and answers in time.
    pub(crate) up: IntGauge,
    /// How long look-ups took.
    pub(crate) lookup_time: Histogram,
    lookups: IntCounterVec,
    writes: IntCounterVec,
}

impl SharedMetrics {
    pub(super) fn new(make: &Make) -> Result<Self> {
        let metrics = Self {
            up: make.gauge("forebay_shared_up", "1 while the shared tier answers in time, else 0.")?,
            lookup_time: make
                .histogram(
                    "forebay_shared_lookup_seconds",
                    "How long look-ups in the shared tier took.",
                    &[],
                    &SECONDS,
                )?
                .get_metric_with_label_values::<&str>(&[])?,
            lookups: make.counters(
                "forebay_shared_lookups_total",
                "Look-ups in the shared tier, by what came of them.",
                &["result"],
            )?,
            writes: make.counters(
                "forebay_shared_writes_total",
                "Responses for the shared tier, by what became of them.",
                &["result"],
            )?,
        };
        for result in ["hit", "miss", "timeout", "error", "skipped", "corrupt", "purged", "stale", "refused"] {
            metrics.lookups.get_metric_with_label_values(&[result])?;
        }
        for result in ["stored", "failed", "dropped", "too-large", "short-lived"] {
            metrics.writes.get_metric_with_label_values(&[result])?;
        }
        Ok(metrics)
    }

    /// A look-up.
    pub(crate) fn looked_up(&self, result: &str) {
        self.lookups.with_label_values(&[result]).inc();
    }

    /// A response that was to be written.
    pub(crate) fn wrote(&self, result: &str) {
        self.writes.with_label_values(&[result]).inc();
    }
}
