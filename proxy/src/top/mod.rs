//! Top: what the AP servers are asked for, and why; from the log's thread, so that no request waits for it.
//!
//! Hits are counted by the metrics already and do not come here. What is kept of the rest is bounded whatever clients
//! send: a fixed number of paths and parameters a site, the ones that weigh most (the space-saving algorithm), in two
//! windows of which the older is dropped every five minutes.

mod distinct;
mod heavy;
mod report;
pub(crate) mod screen;
pub(crate) mod view;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use ahash::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;

use self::distinct::Distinct;
pub(crate) use self::heavy::{Heavy, Slot};
#[cfg(test)]
pub(crate) use self::report::SiteTop;
pub(crate) use self::report::TopReport;
use crate::account::entry::{CacheOutcome, Entry};

/// How long a window is: what is told is between one and two of them old.
const WINDOW: Duration = Duration::from_secs(300);
/// Paths and parameters of a site that are kept. The heaviest are exact, those at the end may be taken for others.
const PATHS: usize = 64;
const PARAMETERS: usize = 32;
/// Bytes of a path that tell it from others.
const PATH: usize = 200;
/// Bytes of a parameter's name.
const NAME: usize = 64;

/// By name. A name that is there already is not copied.
type Map<V> = HashMap<String, V, RandomState>;

/// What was forwarded lately, and why.
#[derive(Debug)]
pub(crate) struct Top {
    windows: Mutex<Windows>,
}

#[derive(Debug)]
struct Windows {
    began: Instant,
    now: Map<Tally>,
    before: Map<Tally>,
    /// Since start.
    totals: Map<Origin>,
    /// A buffer.
    key: String,
}

/// What AP servers took.
#[derive(Debug, Clone, Copy, Default)]
struct Origin {
    requests: u64,
    micros: u64,
}

/// One site in one window.
#[derive(Debug)]
struct Tally {
    /// By reason and path, parted by a space.
    misses: Heavy<()>,
    reasons: HashMap<&'static str, u64, RandomState>,
    parameters: Heavy<Distinct>,
    /// Weighed by microseconds.
    slow: Heavy<Slow>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slow {
    requests: u64,
    longest: u64,
}

// === impl Top ===

impl Top {
    pub(crate) fn new() -> Self {
        let (now, before, totals) = (Map::default(), Map::default(), Map::default());
        let windows = Windows { began: Instant::now(), now, before, totals, key: String::new() };
        Self { windows: Mutex::new(windows) }
    }

    /// Whether a request is of interest here: one that did not end at what is stored, or at a file.
    pub(crate) const fn wants(outcome: CacheOutcome) -> bool {
        matches!(outcome, CacheOutcome::Miss | CacheOutcome::Pass | CacheOutcome::Revalidated | CacheOutcome::Error)
    }

    /// Notes a finished request. Called on the log's thread.
    pub(crate) fn record(&self, entry: &Entry) {
        if Self::wants(entry.cache) {
            self.windows.lock().record(entry);
        }
    }
}

impl Windows {
    fn turn(&mut self) {
        let elapsed = self.began.elapsed();
        if elapsed < WINDOW {
            return;
        }
        self.before = std::mem::take(&mut self.now);
        if elapsed >= 2 * WINDOW {
            self.before.clear();
        }
        self.began = Instant::now();
    }

    fn record(&mut self, entry: &Entry) {
        self.turn();
        // Labels are those of configured sites: as many as there are of these.
        let site = entry.site.label();
        let micros = origin_micros(entry);
        if let Some(micros) = micros {
            let total = self.totals.entry_ref(site).or_default();
            total.requests += 1;
            total.micros = total.micros.saturating_add(micros);
        }
        let tally = self.now.entry_ref(site).or_insert_with(Tally::new);
        let text = String::from_utf8_lossy(&entry.target);
        let (path, query) = text.split_once('?').unwrap_or((&text, ""));
        let path = clean(path, PATH);
        if let Some(micros) = micros {
            let slow = tally.slow.note(&path, micros);
            slow.requests += 1;
            slow.longest = slow.longest.max(micros);
        }
        if entry.cache == CacheOutcome::Revalidated {
            return;
        }
        let reason = entry.detail.or(entry.forward_reason).unwrap_or("none");
        *tally.reasons.entry(reason).or_default() += 1;
        self.key.clear();
        self.key.extend([reason, " ", &path]);
        tally.misses.note(&self.key, 1);
        if entry.cache == CacheOutcome::Miss && entry.forward_reason == Some("uri-miss") {
            let query = clean(query, usize::MAX);
            for (name, value) in query.split('&').filter(|pair| !pair.is_empty()).map(name_and_value) {
                tally.parameters.note(cut(name, NAME), 1).note(value);
            }
        }
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            misses: Heavy::new(PATHS),
            reasons: HashMap::default(),
            parameters: Heavy::new(PARAMETERS),
            slow: Heavy::new(PATHS),
        }
    }
}

/// From the connection to the first byte: what an AP server took.
fn origin_micros(entry: &Entry) -> Option<u64> {
    let upstream = entry.upstream?;
    let taken = upstream.first_byte? + upstream.connect.unwrap_or_default();
    Some(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX))
}

/// What is no text would reach a terminal.
fn clean(text: &str, most: usize) -> Cow<'_, str> {
    let text = cut(text, most);
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
}

fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most.min(text.len()))).unwrap_or(text)
}

fn name_and_value(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

#[cfg(test)]
mod tests;
