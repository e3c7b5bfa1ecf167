//! The counters of one site.

use std::sync::{Arc, OnceLock};

use http::Method;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Result};

use super::Make;
use crate::account::entry::{CacheOutcome, Entry, StaleReason};

/// Methods that have a label value of their own; all else is `other`.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "other"];

/// Status codes whose counters are held ready. Others are looked up by their labels.
const CODES: [u16; 20] =
    [200, 304, 404, 301, 302, 206, 499, 204, 400, 401, 403, 405, 416, 421, 429, 303, 500, 502, 503, 504];

/// A hit takes microseconds, a page of WordPress a second, an upload a minute.
const SECONDS: [f64; 18] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The metrics that count finished requests, all sites together.
#[derive(Debug, Clone)]
pub(super) struct RequestMetrics {
    requests: IntCounterVec,
    durations: HistogramVec,
    aborted: IntCounterVec,
    bytes_sent: IntCounterVec,
    stale_served: [IntCounter; StaleReason::ALL.len()],
    offload: IntCounter,
}

impl RequestMetrics {
    pub(super) fn new(make: &Make) -> Result<Self> {
        let stale = make.counters("forebay_cache_stale_served_total", "Stale stored responses served.", &["reason"])?;
        let stale = |reason: StaleReason| stale.get_metric_with_label_values(&[reason.label()]);
        let [first, second, third] = StaleReason::ALL;
        Ok(Self {
            requests: make.counters(
                "forebay_http_requests_total",
                "Finished requests, by what the cache did for them.",
                &["site", "method", "code", "cache"],
            )?,
            durations: make.histogram(
                "forebay_http_request_duration_seconds",
                "From the first byte of a request to the last byte of its response.",
                &["site", "cache"],
                &SECONDS,
            )?,
            aborted: make.counters(
                "forebay_http_requests_aborted_total",
                "Requests whose response was cut short: the client left or was too slow, or the upstream broke off.",
                &["site"],
            )?,
            bytes_sent: make.counters("forebay_bytes_sent_total", "Content bytes sent to clients.", &["site"])?,
            stale_served: [stale(first)?, stale(second)?, stale(third)?],
            offload: make.counter("forebay_offload_total", "Requests answered by a file, without an AP server.")?,
        })
    }
}

/// The counters of one site. Those of a method, status and outcome are made when it first occurs.
#[derive(Debug)]
pub(crate) struct SiteMetrics {
    label: Arc<str>,
    all: RequestMetrics,
    /// Of [`CODES`] within [`CacheOutcome`] within [`METHODS`].
    requests: Box<[OnceLock<IntCounter>]>,
    durations: [OnceLock<Histogram>; CacheOutcome::COUNT],
    aborted: IntCounter,
    bytes_sent: IntCounter,
}

impl SiteMetrics {
    pub(super) fn new(label: &str, all: RequestMetrics) -> Result<Self> {
        Ok(Self {
            aborted: all.aborted.get_metric_with_label_values(&[label])?,
            bytes_sent: all.bytes_sent.get_metric_with_label_values(&[label])?,
            requests: (0..METHODS.len() * CacheOutcome::COUNT * CODES.len()).map(|_| OnceLock::new()).collect(),
            durations: [const { OnceLock::new() }; CacheOutcome::COUNT],
            label: label.into(),
            all,
        })
    }

    /// The value of the label `site`.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Counts one finished request.
    pub(crate) fn record(&self, entry: &Entry) {
        let method = method_index(&entry.method);
        let cache = entry.cache.index();
        match CODES.iter().position(|code| *code == entry.status) {
            Some(code) => {
                let cell = self.requests.get((method * CacheOutcome::COUNT + cache) * CODES.len() + code);
                if let Some(cell) = cell
                    && let Some(counter) = get_or_try(cell, || self.request_counter(entry, method))
                {
                    counter.inc();
                }
            }
            None => {
                if let Some(counter) = self.request_counter(entry, method) {
                    counter.inc();
                }
            }
        }
        let labels = [self.label(), entry.cache.label()];
        if let Some(cell) = self.durations.get(cache)
            && let Some(durations) = get_or_try(cell, || self.all.durations.get_metric_with_label_values(&labels).ok())
        {
            durations.observe(entry.duration.as_secs_f64());
        }
        self.bytes_sent.inc_by(entry.bytes);
        if entry.aborted {
            self.aborted.inc();
        }
        match entry.cache {
            CacheOutcome::Stale(reason) => {
                if let Some(counter) = self.all.stale_served.get(reason.index()) {
                    counter.inc();
                }
            }
            CacheOutcome::Offload => self.all.offload.inc(),
            _ => {}
        }
    }

    fn request_counter(&self, entry: &Entry, method: usize) -> Option<IntCounter> {
        let mut digits = itoa::Buffer::new();
        let code = if matches!(entry.status, 100..=599) { digits.format(entry.status) } else { "other" };
        let method = METHODS.get(method).copied().unwrap_or("other");
        self.all.requests.get_metric_with_label_values(&[self.label(), method, code, entry.cache.label()]).ok()
    }

    /// Finished requests so far with this outcome.
    pub(crate) fn count(&self, outcome: CacheOutcome) -> u64 {
        self.durations.get(outcome.index()).and_then(OnceLock::get).map_or(0, Histogram::get_sample_count)
    }

    /// Finished requests so far, all together.
    pub(crate) fn requests(&self) -> u64 {
        self.durations.iter().filter_map(OnceLock::get).map(Histogram::get_sample_count).sum()
    }

    /// Of these, the ones answered without the upstream: hits, stale, collapsed and offloaded.
    pub(crate) fn served(&self) -> u64 {
        let outcomes = [
            CacheOutcome::Hit,
            CacheOutcome::Stale(StaleReason::Error),
            CacheOutcome::Collapsed,
            CacheOutcome::Offload,
        ];
        let count = |outcome: &CacheOutcome| self.durations.get(outcome.index()).and_then(OnceLock::get);
        outcomes.iter().filter_map(count).map(Histogram::get_sample_count).sum()
    }
}

fn method_index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::OPTIONS => 5,
        Method::PATCH => 6,
        _ => 7,
    }
}

fn get_or_try<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Option<T>) -> Option<&T> {
    match cell.get() {
        Some(value) => Some(value),
        None => {
            let value = make()?;
            Some(cell.get_or_init(|| value))
        }
    }
}
