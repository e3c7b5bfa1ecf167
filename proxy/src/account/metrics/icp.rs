//! What is told of siblings and parents.

use std::time::Duration;

use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Result};

use super::Make;

/// Seconds that an answer or the head of a fetch takes within a network, and what is too long.
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 2.5];

/// Counters of `[icp]`.
#[derive(Debug)]
pub(crate) struct IcpMetrics {
    queries: IntCounterVec,
    answers: IntCounterVec,
    ignored: IntCounterVec,
    /// How long misses waited for the answers of all.
    pub(crate) wait: Histogram,
    up: IntGaugeVec,
    time: GaugeVec,
    fetches: IntCounterVec,
    fetch_time: HistogramVec,
}

/// Why a packet was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// It is none.
    Malformed,
    /// From an address that is not configured.
    Stranger,
    /// An answer to no question, or from another than who was asked.
    Unexpected,
    /// Too many.
    Limited,
}

impl Ignored {
    const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Stranger => "stranger",
            Self::Unexpected => "unexpected",
            Self::Limited => "limited",
        }
    }
}

impl IcpMetrics {
    pub(super) fn new(make: &Make) -> Result<Self> {
        let metrics = Self {
            queries: make.counters(
                "forebay_icp_queries_total",
                "Questions asked of siblings and parents, by what they answered.",
                &["peer", "result"],
            )?,
            answers: make.counters(
                "forebay_icp_answers_total",
                "Questions of siblings and parents, by what they were told.",
                &["peer", "result"],
            )?,
            ignored: make.counters(
                "forebay_icp_ignored_total",
                "ICP packets that were neither answered nor believed.",
                &["reason"],
            )?,
            wait: make
                .histogram("forebay_icp_wait_seconds", "How long misses waited for ICP answers.", &[], &SECONDS)?
                .get_metric_with_label_values::<&str>(&[])?,
            up: make.gauges("forebay_icp_peer_up", "1 while a sibling or parent answers, else 0.", &["peer"])?,
            time: make.add(GaugeVec::new(
                Opts::new("forebay_icp_rtt_seconds", "How long answers of a sibling or parent take, smoothed."),
                &["peer"],
            )?)?,
            fetches: make.counters(
                "forebay_sibling_fetches_total",
                "Fetches from siblings and parents: used, refused (another way was taken), failed.",
                &["peer", "result"],
            )?,
            fetch_time: make.histogram(
                "forebay_sibling_fetch_seconds",
                "From a request sent to a sibling or parent to the head of its response.",
                &["peer"],
                &SECONDS,
            )?,
        };
        for reason in [Ignored::Malformed, Ignored::Stranger, Ignored::Unexpected, Ignored::Limited] {
            metrics.ignored.get_metric_with_label_values(&[reason.label()])?;
        }
        Ok(metrics)
    }

    /// The counters of a peer, by its configured address.
    ///
    /// # Errors
    /// None in practice: the labels fit the metric.
    pub(crate) fn peer(&self, label: &str) -> Result<IcpPeerMetrics> {
        for result in ["hit", "miss", "timeout"] {
            self.queries.get_metric_with_label_values(&[label, result])?;
            self.answers.get_metric_with_label_values(&[label, result])?;
        }
        for result in ["used", "refused", "failed"] {
            self.fetches.get_metric_with_label_values(&[label, result])?;
        }
        Ok(IcpPeerMetrics {
            label: label.to_owned(),
            queries: self.queries.clone(),
            fetches: self.fetches.clone(),
            fetch_time: self.fetch_time.get_metric_with_label_values(&[label])?,
            up: self.up.get_metric_with_label_values(&[label])?,
            time: self.time.get_metric_with_label_values(&[label])?,
        })
    }

    /// A packet was not answered.
    pub(crate) fn ignored(&self, why: Ignored) {
        self.ignored.with_label_values(&[why.label()]).inc();
    }

    /// Who is called `peer` was told `result`.
    pub(crate) fn answered(&self, peer: &str, result: &str) {
        self.answers.with_label_values(&[peer, result]).inc();
    }
}

/// Counters of one sibling or parent.
#[derive(Debug)]
pub(crate) struct IcpPeerMetrics {
    label: String,
    queries: IntCounterVec,
    fetches: IntCounterVec,
    fetch_time: Histogram,
    /// Whether it answers.
    pub(crate) up: IntGauge,
    /// How long its answers take, seconds.
    pub(crate) time: Gauge,
}

impl IcpPeerMetrics {
    /// It was asked, and this came of it.
    pub(crate) fn asked(&self, result: &str) {
        self.queries.with_label_values(&[self.label.as_str(), result]).inc();
    }

    /// It was fetched from: `used`, `refused` or `failed`.
    pub(crate) fn fetched(&self, result: &str, head: Duration) {
        self.fetches.with_label_values(&[self.label.as_str(), result]).inc();
        self.fetch_time.observe(head.as_secs_f64());
    }
}
