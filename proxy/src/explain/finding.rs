//! What an explanation found: the members of its JSON, in its order.

use http::Method;
use serde::{Serialize, Serializer};

use super::text;
use crate::account::entry::CacheOutcome;
use crate::reason::{self, Kind};

/// Everything that is told of one request.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) url: String,
    pub(crate) method: String,
    /// The word of `X-Cache`.
    #[serde(serialize_with = "word")]
    pub(crate) outcome: CacheOutcome,
    /// `fwd` of `Cache-Status`.
    pub(crate) forward: Option<&'static str>,
    pub(crate) reason: Option<Told>,
    /// The word of the configuration that decided.
    pub(crate) rule: Option<Rule>,
    /// Of an answer that is made here.
    pub(crate) status: Option<u16>,
    pub(crate) site: Option<Named>,
    pub(crate) route: Option<Named>,
    pub(crate) upstream: Option<String>,
    pub(crate) key: Option<Key>,
    pub(crate) cookies: Vec<Cookie>,
    pub(crate) stored: Option<Stored>,
    /// How many responses are stored under the key.
    pub(crate) variants: usize,
    /// Why the last response was not stored, where that was a moment ago.
    pub(crate) not_stored: Option<Told>,
    /// The response is being fetched now.
    pub(crate) in_flight: bool,
    /// What would hold for a response that says nothing itself.
    pub(crate) would_be: Option<Lifetime>,
    pub(crate) live: Option<Live>,
    /// What to change to make it a hit.
    pub(crate) change: Vec<String>,
    pub(crate) text: String,
}

/// A reason code in words.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Told {
    pub(crate) code: String,
    pub(crate) sentence: &'static str,
    pub(crate) change: &'static str,
}

/// A word of the configuration.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rule {
    /// `bypass_cookies`
    pub(crate) word: &'static str,
    /// `wordpress_logged_in_*`
    pub(crate) value: Option<String>,
    /// `forebay.toml:12`
    pub(crate) place: Option<String>,
    /// It is not in the file: the preset, which stands at `place`, says so.
    pub(crate) by_preset: bool,
}

/// A site or a route.
#[derive(Debug, Serialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) place: Option<String>,
}

/// The cache key.
#[derive(Debug, Serialize)]
pub(crate) struct Key {
    pub(crate) key: String,
    pub(crate) ignored: Vec<Ignored>,
    pub(crate) sorted: bool,
}

/// A query parameter that is not in the key.
#[derive(Debug, Serialize)]
pub(crate) struct Ignored {
    pub(crate) parameter: String,
    pub(crate) rule: Rule,
}

/// A cookie of a request that uses the cache.
#[derive(Debug, Serialize)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    /// It is not forwarded.
    pub(crate) dropped: bool,
}

/// A freshness lifetime and who says so.
#[derive(Debug, Serialize)]
pub(crate) struct Lifetime {
    pub(crate) seconds: u64,
    /// `max-age`, `refresh-pattern`, …
    pub(crate) source: &'static str,
    /// The field line of the response that says it.
    pub(crate) field: Option<String>,
    pub(crate) rule: Option<Rule>,
    /// The ceiling that cut it, seconds.
    pub(crate) ceiling: Option<Rule>,
}

/// A stored response.
#[derive(Debug, Serialize)]
pub(crate) struct Stored {
    pub(crate) status: u16,
    /// `memory` or `disk`.
    pub(crate) tier: &'static str,
    pub(crate) bytes: u64,
    pub(crate) age: u64,
    /// Seconds of freshness left; negative: stale for so long.
    pub(crate) ttl: i64,
    pub(crate) lifetime: Lifetime,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
    pub(crate) tags: Vec<String>,
    pub(crate) vary: Vec<String>,
    pub(crate) validators: Vec<&'static str>,
}

/// What became of the request when it was sent.
#[derive(Debug, Serialize)]
pub(crate) struct Live {
    pub(crate) status: u16,
    pub(crate) outcome: &'static str,
    pub(crate) forward: Option<&'static str>,
    pub(crate) reason: Option<Told>,
    pub(crate) stored: bool,
    /// The AP server that answered.
    pub(crate) server: Option<String>,
    /// From the request to the last byte.
    pub(crate) milliseconds: u64,
    pub(crate) bytes: u64,
    /// The fields of the answer that caches look at.
    pub(crate) fields: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn word<S: Serializer>(outcome: &CacheOutcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.word())
}

// === impl Told ===

impl Told {
    /// What is known of a code that is of one of these kinds.
    pub(crate) fn new(kinds: &[Kind], code: &str) -> Self {
        let known = kinds.iter().find_map(|kind| reason::find(*kind, code));
        let (sentence, change) = known.map_or(("", ""), |known| (known.sentence, known.change));
        Self { code: code.to_owned(), sentence, change }
    }
}

// === impl Finding ===

impl Finding {
    pub(super) fn new(url: &str, method: &Method) -> Self {
        Self {
            url: url.to_owned(),
            method: method.to_string(),
            outcome: CacheOutcome::None,
            forward: None,
            reason: None,
            rule: None,
            status: None,
            site: None,
            route: None,
            upstream: None,
            key: None,
            cookies: Vec::new(),
            stored: None,
            variants: 0,
            not_stored: None,
            in_flight: false,
            would_be: None,
            live: None,
            change: Vec::new(),
            text: String::new(),
        }
    }

    /// What to change, and all of it in words.
    pub(super) fn conclude(&mut self) {
        self.change = self.changes();
        self.text = text::text(self);
    }

    fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        let is_fine = matches!(self.outcome, CacheOutcome::Hit | CacheOutcome::Offload | CacheOutcome::None);
        if is_fine {
            return changes;
        }
        let not_stored = self.live.as_ref().and_then(|live| live.reason.as_ref()).or(self.not_stored.as_ref());
        match (not_stored, &self.reason) {
            (Some(told), _) if self.outcome == CacheOutcome::Miss => changes.push(told.change.to_owned()),
            (_, Some(told)) => changes.push(told.change.to_owned()),
            _ => {}
        }
        if not_stored.is_none() && self.would_be.as_ref().is_some_and(|lifetime| lifetime.source == "none") {
            let hint = "Nothing in the configuration gives a lifetime here: unless the origin does, the response will not \
                        be stored. Say `lifetimes`, a `refresh_pattern` or a `preset`.";
            changes.push(hint.to_owned());
        }
        changes.retain(|change| !change.is_empty());
        changes
    }
}
