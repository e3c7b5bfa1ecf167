//! Cache directives of requests and responses (RFC 9111 section 5.2, RFC 5861), parsed by the grammar.

use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderName, PRAGMA};
use http::{HeaderMap, HeaderValue};

use super::member::{Argument, for_each_member, split_list};
use super::targeted::{self, TargetList};

/// Largest delta-seconds told apart (RFC 9111 section 1.2.2): greater ones count as this.
const MAX_DELTA_SECONDS: u64 = 1 << 31;

/// A directive that may name the fields it is limited to: `private`, `no-cache`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Qualified {
    /// The directive is not there.
    #[default]
    Absent,
    /// It concerns the whole response.
    Unqualified,
    /// It concerns these fields only.
    Fields(Vec<HeaderName>),
}

impl Qualified {
    /// Whether the directive is there and concerns the whole response.
    #[must_use]
    pub fn is_unqualified(&self) -> bool {
        *self == Self::Unqualified
    }

    /// The fields the directive is limited to; empty unless it is so limited.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Absent | Self::Unqualified => &[],
        }
    }

    /// Adds one occurrence of the directive. Whatever is not a clean list of field names counts for the whole response.
    fn add(&mut self, argument: Option<&[u8]>) {
        let names = argument.map(field_names);
        match (self, names) {
            (Self::Unqualified, _) => {}
            (Self::Fields(known), Some(Some(mut more))) => known.append(&mut more),
            (this, Some(Some(names))) => *this = Self::Fields(names),
            (this, _) => *this = Self::Unqualified,
        }
    }
}

/// Field names of a `#field-name` argument; `None` if it has none or one that is no field name.
fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let names: Option<Vec<_>> = split_list(list).map(|name| HeaderName::from_bytes(name).ok()).collect();
    names.filter(|names| !names.is_empty())
}

/// Cache directives of a response that a shared cache acts upon. Unknown ones are not kept (RFC 9111 section 5.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseDirectives {
    /// Whether they come from a targeted field, which puts `Cache-Control` and `Expires` out of force (RFC 9213).
    pub targeted: bool,
    /// `max-age`; zero if its argument is missing or malformed (RFC 9111 section 4.2.1: consider it stale).
    pub max_age: Option<Duration>,
    /// `s-maxage`; as `max_age`.
    pub s_maxage: Option<Duration>,
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`
    pub no_cache: Qualified,
    /// `private`
    pub private: Qualified,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `no-transform`
    pub no_transform: bool,
    /// `immutable` (RFC 8246)
    pub immutable: bool,
    /// `stale-while-revalidate` (RFC 5861 section 3); absent if malformed.
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 section 4); absent if malformed.
    pub stale_if_error: Option<Duration>,
}

impl ResponseDirectives {
    /// The directives that govern a response: those of the first valid, non-empty field of `targets`, else those of
    /// `Cache-Control` (RFC 9213 section 2.2).
    #[must_use]
    pub fn effective(fields: &HeaderMap, targets: &TargetList) -> Self {
        targeted::select(fields, targets).unwrap_or_else(|| Self::parse(fields))
    }

    /// The directives of all `Cache-Control` lines.
    #[must_use]
    pub fn parse(fields: &HeaderMap) -> Self {
        let mut all = Self::default();
        for line in fields.get_all(CACHE_CONTROL) {
            for_each_member(line.as_bytes(), |name, argument| all.add(name, &argument));
        }
        all
    }

    /// Adds one directive. The first occurrence of a directive with a lifetime counts (RFC 9111 section 4.2.1).
    pub(super) fn add(&mut self, name: &[u8], argument: &Argument<'_>) {
        let delta = || delta_argument(argument);
        let list = || match argument {
            Argument::Value(list) => Some(&**list),
            Argument::Absent | Argument::Malformed => None,
        };
        match name.to_ascii_lowercase().as_slice() {
            b"max-age" => self.max_age = self.max_age.or_else(|| Some(delta().unwrap_or_default())),
            b"s-maxage" => self.s_maxage = self.s_maxage.or_else(|| Some(delta().unwrap_or_default())),
            b"stale-while-revalidate" => self.stale_while_revalidate = self.stale_while_revalidate.or_else(delta),
            b"stale-if-error" => self.stale_if_error = self.stale_if_error.or_else(delta),
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache.add(list()),
            b"private" => self.private.add(list()),
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"no-transform" => self.no_transform = true,
            b"immutable" => self.immutable = true,
            _ => {}
        }
    }

    /// Whether the response may never be used stale: RFC 9111 sections 4.2.4, 5.2.2.2, 5.2.2.4, 5.2.2.8 and 5.2.2.10
    /// (`s-maxage` incorporates `proxy-revalidate`).
    #[must_use]
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some() || self.no_cache.is_unqualified()
    }
}

/// How stale a response a client accepts (`max-stale`, RFC 9111 section 5.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxStale {
    /// Of any staleness.
    Any,
    /// Stale by no more than this.
    Within(Duration),
}

/// Cache directives of a request. A directive with a malformed argument is not kept: what a client asks for is advice
/// (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestDirectives {
    /// `no-cache`, or `Pragma: no-cache` where there is no `Cache-Control` (RFC 9111 section 5.4).
    pub no_cache: bool,
    /// `no-store`
    pub no_store: bool,
    /// `no-transform`
    pub no_transform: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `max-age`
    pub max_age: Option<Duration>,
    /// `min-fresh`
    pub min_fresh: Option<Duration>,
    /// `max-stale`
    pub max_stale: Option<MaxStale>,
    /// `stale-if-error` (RFC 5861 section 4)
    pub stale_if_error: Option<Duration>,
}

impl RequestDirectives {
    /// The directives of all `Cache-Control` lines, or of `Pragma` where there are none.
    #[must_use]
    pub fn parse(fields: &HeaderMap) -> Self {
        let mut all = Self::default();
        if fields.contains_key(CACHE_CONTROL) {
            for line in fields.get_all(CACHE_CONTROL) {
                for_each_member(line.as_bytes(), |name, argument| all.add(name, &argument));
            }
        } else {
            all.no_cache = fields.get_all(PRAGMA).iter().any(has_no_cache);
        }
        all
    }

    fn add(&mut self, name: &[u8], argument: &Argument<'_>) {
        let delta = || delta_argument(argument);
        match name.to_ascii_lowercase().as_slice() {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"no-transform" => self.no_transform = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => self.max_age = self.max_age.or_else(delta),
            b"min-fresh" => self.min_fresh = self.min_fresh.or_else(delta),
            b"stale-if-error" => self.stale_if_error = self.stale_if_error.or_else(delta),
            b"max-stale" if *argument == Argument::Absent => self.max_stale = self.max_stale.or(Some(MaxStale::Any)),
            b"max-stale" => self.max_stale = self.max_stale.or_else(|| delta().map(MaxStale::Within)),
            _ => {}
        }
    }
}

fn has_no_cache(pragma: &HeaderValue) -> bool {
    let mut found = false;
    for_each_member(pragma.as_bytes(), |name, _| found |= name.eq_ignore_ascii_case(b"no-cache"));
    found
}

fn delta_argument(argument: &Argument<'_>) -> Option<Duration> {
    match argument {
        Argument::Value(value) => parse_delta_seconds(value),
        Argument::Absent | Argument::Malformed => None,
    }
}

/// Parses delta-seconds (RFC 9111 section 1.2.2): decimal digits and nothing else. Values beyond 2^31 count as 2^31.
#[must_use]
pub fn parse_delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = text.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')).min(MAX_DELTA_SECONDS)
    });
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
#[path = "directives_tests.rs"]
mod tests;
