//! What `/top` of the admin listener tells, and the command reads again.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::{Slow, Tally, Top, WINDOW};
use crate::account::entry::{CacheOutcome, StaleReason};
use crate::runtime::Runtime;

/// Rows of each list.
const ROWS: usize = 10;

/// One look.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct TopReport {
    /// Seconds that lists go back.
    pub(crate) window: u64,
    /// Of the process, milliseconds: for rates between two looks.
    pub(crate) uptime_ms: u64,
    pub(crate) sites: Vec<SiteTop>,
}

/// One site. Counts are since start, lists of the last minutes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SiteTop {
    pub(crate) site: String,
    /// Finished requests.
    pub(crate) requests: u64,
    /// Answered from what was stored: hits, stale answers, collapsed ones.
    pub(crate) hits: u64,
    /// Forwarded: misses, passes, validations.
    pub(crate) forwarded: u64,
    /// Answered by files.
    pub(crate) files: u64,
    /// Milliseconds an AP server took on average.
    pub(crate) origin_ms: f64,
    /// What the hits would have cost AP servers at that, seconds.
    pub(crate) saved_seconds: f64,
    pub(crate) reasons: Vec<ReasonCount>,
    pub(crate) misses: Vec<Miss>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) slow: Vec<SlowPath>,
}

/// How often a reason kept requests from being hits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReasonCount {
    pub(crate) code: String,
    pub(crate) count: u64,
}

/// A path that is forwarded often.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Miss {
    pub(crate) code: String,
    pub(crate) path: String,
    pub(crate) count: u64,
}

/// A query parameter that comes with misses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// Misses with it.
    pub(crate) misses: u64,
    /// Different values, about.
    pub(crate) values: u64,
}

/// A path that costs AP servers most.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SlowPath {
    pub(crate) path: String,
    pub(crate) requests: u64,
    pub(crate) total_ms: u64,
    pub(crate) longest_ms: u64,
}

impl SiteTop {
    /// Hits among what went to the cache or beyond; `None` before there was any.
    pub(crate) fn hit_ratio(&self) -> Option<f64> {
        let all = self.hits + self.forwarded;
        (all > 0).then(|| ratio(self.hits, all))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^52 may lose their last digit")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

// === impl Top ===

impl Top {
    /// What is known at the moment of the sites of `runtime`.
    pub(crate) fn report(&self, runtime: &Runtime, uptime_ms: u64) -> TopReport {
        let mut windows = self.windows.lock();
        windows.turn();
        let before = if windows.before.is_empty() { Duration::ZERO } else { WINDOW };
        let window = (windows.began.elapsed() + before).as_secs();
        let site = |site: &std::sync::Arc<crate::site::Site>| {
            let label = site.metrics.label();
            let count = |outcome| site.metrics.count(outcome);
            let hits = count(CacheOutcome::Hit)
                + count(CacheOutcome::Stale(StaleReason::Error))
                + count(CacheOutcome::Collapsed);
            let origin = windows.totals.get(label).copied().unwrap_or_default();
            let mean = if origin.requests == 0 { 0.0 } else { ratio(origin.micros, origin.requests) / 1000.0 };
            let mut top = SiteTop {
                site: label.to_owned(),
                requests: site.metrics.requests(),
                hits,
                forwarded: count(CacheOutcome::Miss) + count(CacheOutcome::Pass) + count(CacheOutcome::Revalidated),
                files: count(CacheOutcome::Offload),
                origin_ms: mean,
                saved_seconds: ratio(hits, 1) * mean / 1000.0,
                ..SiteTop::default()
            };
            let tallies = [windows.now.get(label), windows.before.get(label)];
            let tallies: Vec<&Tally> = tallies.into_iter().flatten().collect();
            top.reasons = reasons(&tallies);
            top.misses = misses(&tallies);
            // What a site ignores makes no difference, whoever sends it.
            let ignored = &site.route("/").rules.ignore_params;
            top.parameters = parameters(&tallies, |name| ignored.matches(name.as_bytes()));
            top.slow = slow(&tallies);
            top
        };
        TopReport { window, uptime_ms, sites: runtime.sites.iter().map(site).collect() }
    }
}

/// The heaviest first, and no more than there is room for.
fn first<T>(mut rows: Vec<T>, weight: impl Fn(&T) -> (std::cmp::Reverse<u64>, String)) -> Vec<T> {
    rows.sort_by_cached_key(weight);
    rows.truncate(ROWS);
    rows
}

fn reasons(tallies: &[&Tally]) -> Vec<ReasonCount> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for (code, count) in tallies.iter().flat_map(|tally| &tally.reasons) {
        *counts.entry(code).or_default() += count;
    }
    let rows = counts.into_iter().map(|(code, count)| ReasonCount { code: code.to_owned(), count }).collect();
    first(rows, |row: &ReasonCount| (std::cmp::Reverse(row.count), row.code.clone()))
}

fn misses(tallies: &[&Tally]) -> Vec<Miss> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for (key, slot) in tallies.iter().flat_map(|tally| tally.misses.iter()) {
        *counts.entry(key).or_default() += slot.weight;
    }
    let row = |(key, count): (&str, u64)| {
        let (code, path) = key.split_once(' ').unwrap_or((key, ""));
        Miss { code: code.to_owned(), path: path.to_owned(), count }
    };
    first(counts.into_iter().map(row).collect(), |row: &Miss| (std::cmp::Reverse(row.count), row.path.clone()))
}

fn parameters(tallies: &[&Tally], ignored: impl Fn(&str) -> bool) -> Vec<Parameter> {
    let mut found: HashMap<&str, (u64, Distinct)> = HashMap::new();
    for (name, slot) in tallies.iter().flat_map(|tally| tally.parameters.iter()) {
        let (misses, values) = found.entry(name).or_default();
        *misses += slot.weight;
        values.merge(&slot.value);
    }
    let kept = found.into_iter().filter(|(name, _)| !ignored(name));
    let rows = kept
        .map(|(name, (misses, values))| Parameter { name: name.to_owned(), misses, values: values.count().min(misses) })
        .collect();
    first(rows, |row: &Parameter| (std::cmp::Reverse(row.values.saturating_mul(row.misses)), row.name.clone()))
}

fn slow(tallies: &[&Tally]) -> Vec<SlowPath> {
    let mut found: HashMap<&str, (u64, Slow)> = HashMap::new();
    for (path, slot) in tallies.iter().flat_map(|tally| tally.slow.iter()) {
        let (micros, slow) = found.entry(path).or_default();
        // Of a place taken over, the part that is its own.
        *micros += slot.weight - slot.error;
        slow.requests += slot.value.requests;
        slow.longest = slow.longest.max(slot.value.longest);
    }
    let rows = found
        .into_iter()
        .map(|(path, (micros, slow))| SlowPath {
            path: path.to_owned(),
            requests: slow.requests,
            total_ms: micros / 1000,
            longest_ms: slow.longest / 1000,
        })
        .collect();
    first(rows, |row: &SlowPath| (std::cmp::Reverse(row.total_ms), row.path.clone()))
}
