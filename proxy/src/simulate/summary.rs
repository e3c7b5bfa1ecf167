//! What a simulation found, as JSON and as text.

use std::fmt::Write as _;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Serialize;

use super::gains::Gain;

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) lines: u64,
    /// Lines of no known format.
    pub(crate) unread: u64,
    pub(crate) examples: Vec<Unread>,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    /// From the first request to the last.
    pub(crate) seconds: u64,
    /// Answered by files beneath `root`.
    pub(crate) files: u64,
    /// Requests that use the cache, for a response that may be stored.
    pub(crate) cacheable: u64,
    /// Forwarded whatever the size.
    pub(crate) passed: u64,
    /// Milliseconds an AP server takes, where the log tells.
    pub(crate) origin_ms: Option<f64>,
    pub(crate) sizes: Vec<SizeTold>,
    pub(crate) reasons: Vec<Count>,
    pub(crate) parameters: Vec<Gain>,
}

/// A line of no known format.
#[derive(Debug, Serialize)]
pub(crate) struct Unread {
    pub(crate) line: u64,
    pub(crate) text: String,
}

/// Requests that do not use the cache, or whose response is not stored.
#[derive(Debug, Serialize)]
pub(crate) struct Count {
    pub(crate) kind: &'static str,
    pub(crate) code: String,
    pub(crate) requests: u64,
    pub(crate) sentence: &'static str,
    /// The paths that come most often.
    pub(crate) paths: Vec<String>,
}

/// What one size of cache did.
#[derive(Debug, Default)]
pub(super) struct Curve {
    /// Cacheable requests of the keys that take part.
    pub(super) seen: u64,
    pub(super) seen_bytes: u64,
    pub(super) hits: u64,
    pub(super) stale: u64,
    pub(super) missed_bytes: u64,
    pub(super) busiest_minute: u64,
}

/// One size of cache.
#[derive(Debug, Serialize)]
pub(crate) struct SizeTold {
    pub(crate) size: u64,
    /// Hits, stale ones included, among cacheable requests.
    pub(crate) hit_ratio: f64,
    /// Hits among all that is not a file.
    pub(crate) overall_ratio: f64,
    /// Bytes of cacheable requests that came from the cache.
    pub(crate) byte_ratio: f64,
    /// For AP servers: misses, validations, and all that passes.
    pub(crate) origin_requests: u64,
    pub(crate) origin_per_second: f64,
    pub(crate) busiest_minute: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^52 may lose their last digit")]
pub(super) fn mean(sum: f64, count: u64) -> f64 {
    sum / count as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^52 may lose their last digit")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

// === impl Curve ===

impl Curve {
    pub(super) fn told(&self, size: u64, passed: u64, cacheable: u64, seconds: u64) -> SizeTold {
        let answered = self.hits + self.stale;
        let hit_ratio = ratio(answered, self.seen);
        // What was sampled stands for the whole.
        let scale = |part: u64| {
            let scaled = u128::from(part) * u128::from(cacheable) / u128::from(self.seen.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let origin_requests = passed + scale(self.seen - self.hits);
        SizeTold {
            size,
            hit_ratio,
            overall_ratio: ratio(scale(answered), cacheable + passed),
            byte_ratio: ratio(self.seen_bytes - self.missed_bytes, self.seen_bytes),
            origin_requests,
            origin_per_second: ratio(origin_requests, seconds),
            busiest_minute: self.busiest_minute,
        }
    }
}

// === impl Summary ===

impl Summary {
    /// For a person at a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let size = |bytes: u64| ByteSize(bytes).display().iec().to_string();
        let _ = writeln!(
            text,
            "{} requests in {}, {}; {} by files, {} cacheable, {} forwarded whatever the size.",
            self.requests,
            humantime::format_duration(Duration::from_secs(self.seconds)),
            size(self.bytes),
            self.files,
            self.cacheable,
            self.passed,
        );
        if let Some(millis) = self.origin_ms {
            let _ = writeln!(text, "An AP server took {millis:.1} ms on average.");
        }
        if self.unread > 0 {
            let _ = writeln!(text, "\n{} lines of {} are of no known format:", self.unread, self.lines);
            for example in &self.examples {
                let _ = writeln!(text, "  line {}: {}", example.line, example.text);
            }
        }
        text.push_str("\n      size  hit ratio  of all  of bytes   to AP servers  per second  busiest minute\n");
        for row in &self.sizes {
            let _ = writeln!(
                text,
                "{:>10}  {:>7.1} %  {:>4.1} %  {:>6.1} %  {:>14}  {:>10.2}  {:>14}",
                size(row.size),
                row.hit_ratio * 100.0,
                row.overall_ratio * 100.0,
                row.byte_ratio * 100.0,
                row.origin_requests,
                row.origin_per_second,
                row.busiest_minute,
            );
        }
        if !self.reasons.is_empty() {
            text.push_str("\nNot from the cache, whatever its size:\n");
        }
        for row in &self.reasons {
            let share = ratio(row.requests, self.requests) * 100.0;
            let _ = writeln!(text, "{:>10}  {share:>5.1} %  {}: {}", row.requests, row.code, row.sentence);
            let _ = writeln!(text, "                     {}", row.paths.join("  "));
        }
        let gains: Vec<&Gain> = self.parameters.iter().filter(|gain| gain.gained > 0).collect();
        if !gains.is_empty() {
            text.push_str("\nHits to be gained by `extra_ignore_params`, at the first size; if the page is the same without it:\n");
        }
        for gain in gains {
            let share = ratio(gain.gained, self.cacheable) * 100.0;
            let _ = writeln!(
                text,
                "{:>10}  +{share:>4.1} %  {}, of {} requests with it",
                gain.gained, gain.name, gain.requests
            );
        }
        text
    }
}
