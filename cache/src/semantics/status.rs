//! The `Cache-Status` field (RFC 9211).

use std::fmt::Write as _;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

/// The field's name.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Longest text of `key` and `detail`; more is cut.
const MAX_TEXT: usize = 512;

/// Why a request was forwarded (RFC 9211 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForwardReason {
    /// The cache was told not to handle the request.
    Bypass,
    /// The method has to be forwarded.
    Method,
    /// Nothing is stored for the target URI.
    UriMiss,
    /// Something is stored for the target URI, but nothing `Vary` selects.
    VaryMiss,
    /// Nothing stored could be used; which of the two above is not known.
    Miss,
    /// What is stored is fresh, but the request does not want it as it is.
    Request,
    /// What is stored is stale.
    Stale,
    /// What is stored holds a part of what is asked for.
    Partial,
}

impl ForwardReason {
    /// The token of RFC 9211.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What this cache did with a request: one member of `Cache-Status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    cache: &'a str,
    forward: Option<ForwardReason>,
    hit: bool,
    forward_status: Option<StatusCode>,
    ttl: Option<i64>,
    stored: bool,
    collapsed: bool,
    key: Option<&'a str>,
    detail: Option<&'a str>,
}

impl<'a> CacheStatus<'a> {
    const fn new(cache: &'a str) -> Self {
        Self {
            cache,
            forward: None,
            hit: false,
            forward_status: None,
            ttl: None,
            stored: false,
            collapsed: false,
            key: None,
            detail: None,
        }
    }

    /// Answered from what is stored, without going forward. `cache` is this cache's name.
    #[must_use]
    pub const fn hit(cache: &'a str) -> Self {
        let mut status = Self::new(cache);
        status.hit = true;
        status
    }

    /// Forwarded for this reason.
    #[must_use]
    pub const fn forwarded(cache: &'a str, reason: ForwardReason) -> Self {
        let mut status = Self::new(cache);
        status.forward = Some(reason);
        status
    }

    /// Neither a hit nor forwarded: a response of this cache's own making.
    #[must_use]
    pub const fn generated(cache: &'a str) -> Self {
        Self::new(cache)
    }

    /// `fwd-status`: status the next hop answered with.
    #[must_use]
    pub const fn forward_status(mut self, status: StatusCode) -> Self {
        self.forward_status = Some(status);
        self
    }

    /// `ttl`: seconds the response stays fresh; negative if it is stale.
    #[must_use]
    pub const fn ttl(mut self, seconds: i64) -> Self {
        self.ttl = Some(seconds);
        self
    }

    /// `stored`: whether the response was stored.
    #[must_use]
    pub const fn stored(mut self, stored: bool) -> Self {
        self.stored = stored;
        self
    }

    /// `collapsed`: whether the request waited for the response to another.
    #[must_use]
    pub const fn collapsed(mut self, collapsed: bool) -> Self {
        self.collapsed = collapsed;
        self
    }

    /// `key`: the cache key. Not for clients unless the operator asks for it.
    #[must_use]
    pub const fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// `detail`: more, in words of our own.
    #[must_use]
    pub const fn detail(mut self, detail: &'a str) -> Self {
        self.detail = Some(detail);
        self
    }

    /// The member as text: a structured field of a token (or string) with parameters, in the order of RFC 9211.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(64);
        write_token_or_string(&mut text, self.cache);
        if self.hit {
            text.push_str("; hit");
        }
        if let Some(reason) = self.forward {
            text.push_str("; fwd=");
            text.push_str(reason.as_str());
        }
        if let Some(status) = self.forward_status {
            let _ = write!(text, "; fwd-status={}", status.as_u16());
        }
        if let Some(seconds) = self.ttl {
            let _ = write!(text, "; ttl={seconds}");
        }
        for (name, on) in [("; stored", self.stored), ("; collapsed", self.collapsed)] {
            if on {
                text.push_str(name);
            }
        }
        if let Some(key) = self.key {
            text.push_str("; key=");
            write_string(&mut text, key);
        }
        if let Some(detail) = self.detail {
            text.push_str("; detail=");
            write_token_or_string(&mut text, detail);
        }
        text
    }

    /// Appends the member to the field, after those of the caches nearer the origin (RFC 9211 section 2).
    pub fn append_to(&self, fields: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.to_text()) {
            fields.append(CACHE_STATUS, value);
        }
    }
}

/// As a token if it can be one, else as a string.
fn write_token_or_string(out: &mut String, text: &str) {
    let mut bytes = text.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'*');
    let token = starts && bytes.all(|byte| super::member::is_token_byte(byte) || matches!(byte, b':' | b'/'));
    if token && text.len() <= MAX_TEXT {
        out.push_str(text);
    } else {
        write_string(out, text);
    }
}

/// As a structured field's string: printable ASCII, quoted and escaped; what it cannot say becomes `?`.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars().take(MAX_TEXT) {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields;
    use super::*;

    #[test]
    fn rfc9211_a_hit_says_its_ttl() {
        assert_eq!(CacheStatus::hit("Forebay").ttl(376).to_text(), "Forebay; hit; ttl=376");
        assert_eq!(CacheStatus::hit("Forebay").ttl(-30).to_text(), "Forebay; hit; ttl=-30");
    }

    #[test]
    fn rfc9211_a_forwarded_request_says_why_and_what_came() {
        let status = CacheStatus::forwarded("Forebay", ForwardReason::UriMiss)
            .forward_status(StatusCode::OK)
            .ttl(60)
            .stored(true)
            .collapsed(true)
            .detail("hit-for-miss");
        assert_eq!(
            status.to_text(),
            "Forebay; fwd=uri-miss; fwd-status=200; ttl=60; stored; collapsed; detail=hit-for-miss"
        );
    }

    #[test]
    fn rfc9211_2_the_cache_nearest_the_client_comes_last() {
        let mut fields = fields(&[("Cache-Status", "origin; hit")]);
        CacheStatus::forwarded("Forebay", ForwardReason::Stale).append_to(&mut fields);
        let members: Vec<_> = fields.get_all(CACHE_STATUS).iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(members, ["origin; hit", "Forebay; fwd=stale"]);
    }

    #[test]
    fn every_member_is_a_valid_structured_field_whatever_it_is_made_of() {
        for text in ["", "a b", "\"\\", "é\u{0}\r\n", "9", &"x".repeat(2000)] {
            let status = CacheStatus::generated("Forebay").key(text).detail(text);
            let parsed = sfv::Parser::parse_list(status.to_text().as_bytes());
            assert!(parsed.is_ok(), "{text:?}: {}", status.to_text());
        }
    }

    #[test]
    fn all_forward_reasons_are_those_of_the_registry() {
        use ForwardReason::{Bypass, Method, Miss, Partial, Request, Stale, UriMiss, VaryMiss};
        let all = [Bypass, Method, UriMiss, VaryMiss, Miss, Request, Stale, Partial];
        let names = ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"];
        assert_eq!(all.map(ForwardReason::as_str), names);
    }
}
