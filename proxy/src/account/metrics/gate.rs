//! What the gates of the pools tell: who is inside, who waits, who was refused.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::Make;
use crate::upstream::{Rank, Shut};

/// Who and why, in every combination there is.
const REFUSALS: [(Rank, Shut); 7] = [
    (Rank::Person, Shut::Busy),
    (Rank::Person, Shut::Full),
    (Rank::Person, Shut::Timeout),
    (Rank::Bot, Shut::Busy),
    (Rank::Bot, Shut::Full),
    (Rank::Bot, Shut::Timeout),
    (Rank::Background, Shut::Busy),
];

/// The families, of which each pool has its series.
#[derive(Debug)]
pub(super) struct GateFamilies {
    running: IntGaugeVec,
    waiting: IntGaugeVec,
    wait: HistogramVec,
    refused: IntCounterVec,
}

/// What one gate tells of its present state.
#[derive(Debug, Clone)]
pub(crate) struct GateGauges {
    running: IntGauge,
    waiting: IntGauge,
}

/// The counters of one gate.
#[derive(Debug)]
pub(crate) struct GateMetrics {
    pub(crate) gauges: GateGauges,
    wait: Histogram,
    refused: IntCounterVec,
    pool: String,
}

// === impl GateFamilies ===

impl GateFamilies {
    pub(super) fn new(make: &Make) -> Result<Self> {
        let pool = &["upstream"];
        Ok(Self {
            running: make.gauges("forebay_gate_running", "Requests let in to the AP servers of the pool.", pool)?,
            waiting: make.gauges("forebay_gate_waiting", "Requests that wait to be let in.", pool)?,
            wait: make.histogram(
                "forebay_gate_wait_seconds",
                "How long requests waited that were let in.",
                pool,
                &[0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
            )?,
            refused: make.counters(
                "forebay_gate_refused_total",
                "Requests that were not let in, by who asked and why.",
                &["upstream", "rank", "reason"],
            )?,
        })
    }

    pub(super) fn gate(&self, pool: &str) -> Result<GateMetrics> {
        for (rank, shut) in REFUSALS {
            self.refused.get_metric_with_label_values(&[pool, rank_label(rank), shut_label(shut)])?;
        }
        Ok(GateMetrics {
            gauges: GateGauges {
                running: self.running.get_metric_with_label_values(&[pool])?,
                waiting: self.waiting.get_metric_with_label_values(&[pool])?,
            },
            wait: self.wait.get_metric_with_label_values(&[pool])?,
            refused: self.refused.clone(),
            pool: pool.to_owned(),
        })
    }
}

// === impl GateGauges ===

impl GateGauges {
    /// How many are inside, and how many wait.
    pub(crate) fn set(&self, running: usize, waiting: usize) {
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}

// === impl GateMetrics ===

impl GateMetrics {
    /// A request was let in after this time.
    pub(crate) fn waited(&self, time: Duration) {
        self.wait.observe(time.as_secs_f64());
    }

    /// A request was not let in.
    pub(crate) fn refused(&self, rank: Rank, shut: Shut) {
        let labels = [self.pool.as_str(), rank_label(rank), shut_label(shut)];
        if let Ok(counter) = self.refused.get_metric_with_label_values(&labels) {
            counter.inc();
        }
    }
}

const fn rank_label(rank: Rank) -> &'static str {
    match rank {
        Rank::Person => "person",
        Rank::Bot => "bot",
        Rank::Background => "background",
    }
}

const fn shut_label(shut: Shut) -> &'static str {
    match shut {
        Shut::Busy => "busy",
        Shut::Full => "full",
        Shut::Timeout => "timeout",
    }
}
