//! The counters of one `[[tcp]]`.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::Make;

/// The metrics of all of them together.
#[derive(Debug)]
pub(super) struct TcpFamilies {
    open: IntGaugeVec,
    accepted: IntCounterVec,
    bytes: IntCounterVec,
    errors: IntCounterVec,
}

/// Those of one.
#[derive(Debug)]
pub(crate) struct TcpMetrics {
    label: String,
    open: IntGauge,
    accepted: IntCounter,
    received: IntCounter,
    sent: IntCounter,
    errors: IntCounterVec,
}

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl TcpFamilies {
    pub(super) fn new(make: &Make) -> Result<Self> {
        let families = Self {
            open: make.gauges("forebay_tcp_connections", "Open connections that are passed on.", &["tcp"])?,
            accepted: make.counters("forebay_tcp_connections_total", "Connections that were passed on.", &["tcp"])?,
            bytes: make.counters(
                "forebay_tcp_bytes_total",
                "Bytes that were passed on: received from clients, sent to them.",
                &["tcp", "direction"],
            )?,
            errors: make.counters(
                "forebay_tcp_errors_total",
                "Connections that could not be passed on, or broke, by reason.",
                &["tcp", "reason"],
            )?,
        };
        // There from the start: connections that are for no `[[tcp]]`.
        families.errors.get_metric_with_label_values(&["other", "unknown-name"])?;
        Ok(families)
    }

    pub(super) fn one(&self, label: &str) -> Result<TcpMetrics> {
        Ok(TcpMetrics {
            label: label.to_owned(),
            open: self.open.get_metric_with_label_values(&[label])?,
            accepted: self.accepted.get_metric_with_label_values(&[label])?,
            received: self.bytes.get_metric_with_label_values(&[label, "received"])?,
            sent: self.bytes.get_metric_with_label_values(&[label, "sent"])?,
            errors: self.errors.clone(),
        })
    }
}

impl TcpMetrics {
    pub(crate) fn open(&self) -> Open {
        self.accepted.inc();
        self.open.inc();
        Open(self.open.clone())
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// `reason` is one of a fixed list.
    pub(crate) fn error(&self, reason: &'static str) {
        if let Ok(counter) = self.errors.get_metric_with_label_values(&[self.label.as_str(), reason]) {
            counter.inc();
        }
    }
}
