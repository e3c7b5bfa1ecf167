//! The counters of one AP server. The code that talks to it counts; [`Account::finish`](crate::account::Account::finish)
//! does not, for fills go on without a request and requests without a fill.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Result};

/// Status classes, and `error` for exchanges without a status.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "error"];

/// The counters of one AP server.
#[derive(Debug)]
pub(crate) struct UpstreamMetrics {
    classes: [IntCounter; CLASSES.len()],
    connect_errors: IntCounter,
    ejections: IntCounter,
    response: Histogram,
}

/// The counters of the health checks of one server.
#[derive(Debug, Clone)]
pub(crate) struct HealthMetrics {
    good: IntCounter,
    failed: IntCounter,
}

impl HealthMetrics {
    pub(super) fn new(server: &str, checks: &IntCounterVec) -> Result<Self> {
        let result = |result| checks.get_metric_with_label_values(&[server, result]);
        Ok(Self { good: result("good")?, failed: result("failed")? })
    }

    /// A check was made.
    pub(crate) fn checked(&self, good: bool) {
        if good { &self.good } else { &self.failed }.inc();
    }
}

/// The counters of the look-ups of one name.
#[derive(Debug, Clone)]
pub(crate) struct NameMetrics {
    good: IntCounter,
    empty: IntCounter,
    failed: IntCounter,
    addresses: IntGauge,
}

impl NameMetrics {
    pub(super) fn new(name: &str, lookups: &IntCounterVec, addresses: &IntGaugeVec) -> Result<Self> {
        let result = |result| lookups.get_metric_with_label_values(&[name, result]);
        Ok(Self {
            good: result("good")?,
            empty: result("empty")?,
            failed: result("failed")?,
            addresses: addresses.get_metric_with_label_values(&[name])?,
        })
    }

    /// It was looked up: `good`, `empty` or `failed`.
    pub(crate) fn looked_up(&self, result: &str) {
        match result {
            "good" => &self.good,
            "empty" => &self.empty,
            _ => &self.failed,
        }
        .inc();
    }

    /// It stands for so many servers.
    pub(crate) fn found(&self, servers: usize) {
        self.addresses.set(i64::try_from(servers).unwrap_or(i64::MAX));
    }
}

impl UpstreamMetrics {
    pub(super) fn new(
        labels: &[&str; 2],
        requests: &IntCounterVec,
        connect_errors: &IntCounterVec,
        ejections: &IntCounterVec,
        response: &HistogramVec,
    ) -> Result<Self> {
        let [pool, server] = *labels;
        let class = |class| requests.get_metric_with_label_values(&[pool, server, class]);
        let [a, b, c, d, e, f] = CLASSES;
        Ok(Self {
            classes: [class(a)?, class(b)?, class(c)?, class(d)?, class(e)?, class(f)?],
            connect_errors: connect_errors.get_metric_with_label_values(labels)?,
            ejections: ejections.get_metric_with_label_values(labels)?,
            response: response.get_metric_with_label_values(labels)?,
        })
    }

    /// A response arrived `first_byte` after the request was sent.
    pub(crate) fn response(&self, status: u16, first_byte: Duration) {
        let class = usize::from(status / 100).checked_sub(1).unwrap_or(CLASSES.len() - 1);
        self.count(class);
        self.response.observe(first_byte.as_secs_f64());
    }

    /// A request was sent, at least in part, and no well-formed response came back.
    pub(crate) fn failed(&self) {
        self.count(CLASSES.len() - 1);
    }

    /// No connection could be made.
    pub(crate) fn connect_error(&self) {
        self.connect_errors.inc();
    }

    /// It failed, and others are asked first for a while.
    pub(crate) fn ejected(&self) {
        self.ejections.inc();
    }

    /// Requests sent so far.
    pub(crate) fn requests(&self) -> u64 {
        self.classes.iter().map(IntCounter::get).sum()
    }

    /// Connections that failed, exchanges without a response and 5xx so far.
    pub(crate) fn errors(&self) -> u64 {
        let [.., server_errors, failed] = &self.classes;
        server_errors.get() + failed.get() + self.connect_errors.get()
    }

    fn count(&self, class: usize) {
        let class = class.min(CLASSES.len() - 1);
        if let Some(counter) = self.classes.get(class) {
            counter.inc();
        }
    }
}
