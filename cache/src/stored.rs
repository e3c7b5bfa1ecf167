//! A stored response: what the fields said, distilled once when it was stored.

use std::mem::size_of;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderName, HeaderValue, SET_COOKIE,
};
use http::{HeaderMap, StatusCode};

use crate::clock::Timestamp;
use crate::semantics::age::{current_age, date_field, initial_age};
use crate::semantics::directives::ResponseDirectives;
use crate::semantics::exchange::Exchange;
use crate::semantics::freshness::{Freshness, LifetimeSource, freshness};
use crate::semantics::hop_by_hop;
use crate::semantics::storability::{SetCookie, Storability, StorePolicy, storability};
use crate::semantics::surrogate_key::{has_surrogate_keys, strip_surrogate_keys, surrogate_keys};
use crate::semantics::validation::Validators;
use crate::semantics::vary::Variance;

/// Bytes each field line costs beside its name and value: its place in the map.
const FIELD_OVERHEAD: usize = 96;

/// What is distilled from an exchange when its response is stored: all that reuse asks for. Plain data, so that a store
/// can write it down and read it back ([`StoredResponse::from_parts`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Status of the response.
    pub status: StatusCode,
    /// When the request was sent.
    pub request_time: Timestamp,
    /// When the response arrived.
    pub response_time: Timestamp,
    /// Age it had when it arrived (RFC 9111 section 4.2.3).
    pub initial_age: Duration,
    /// Freshness lifetime.
    pub lifetime: Duration,
    /// Where the lifetime comes from.
    pub source: LifetimeSource,
    /// How long after it became stale it may be used while it is validated.
    pub stale_while_revalidate: Duration,
    /// How long after it became stale it may be used when the origin fails.
    pub stale_if_error: Duration,
    /// `no-cache`: no use without validation, fresh or not.
    pub validate_always: bool,
    /// Whether a directive forbids to use it stale, whatever the client accepts.
    pub forbids_stale: bool,
    /// `no-transform`
    pub no_transform: bool,
    /// What it varies on, with the values of the request it answered.
    pub variance: Variance,
    /// Names by which it can be purged, sorted.
    pub surrogate_keys: Vec<Box<str>>,
    /// Number of the last purge that had been issued when its fill began ([`crate::purge`]). 0 until
    /// [`StoredResponse::stamped`].
    pub stamp: u64,
}

/// A response as it is stored. Immutable: to freshen one makes another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    metadata: Metadata,
    fields: HeaderMap,
    content: Bytes,
}

impl StoredResponse {
    /// Distils the response of `exchange`. Whether it may be stored is not asked here: see [`storability`].
    ///
    /// Of the fields, those are left out that are hop-by-hop, that `private` or `no-cache` name, that the policy strips,
    /// and `Age`, which is the metadata's. A `Date` that is missing or malformed is the time of receipt (RFC 9110 section
    /// 6.6.1). A fill that does not have the content yet passes none and adds it by [`StoredResponse::with_content`].
    #[must_use]
    pub fn new(exchange: &Exchange<'_>, content: Bytes, policy: &StorePolicy) -> Self {
        let mut fields = exchange.response.clone();
        clean(&mut fields, &exchange.directives, policy);
        if date_field(&fields, &DATE).is_none() {
            insert_date(&mut fields, exchange.response_time);
        }
        let variance = Variance::new(exchange.response, exchange.request);
        Self { metadata: distil(exchange, policy, variance), fields, content }
    }

    /// Puts together what a store took apart.
    #[must_use]
    pub const fn from_parts(metadata: Metadata, fields: HeaderMap, content: Bytes) -> Self {
        Self { metadata, fields, content }
    }

    /// The same response with other content.
    #[must_use]
    pub fn with_content(mut self, content: Bytes) -> Self {
        self.content = content;
        self
    }

    /// The same response, of a fill that began after purge number `stamp` and before the next.
    #[must_use]
    pub const fn stamped(mut self, stamp: u64) -> Self {
        self.metadata.stamp = stamp;
        self
    }

    /// What was distilled.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The fields as stored: without hop-by-hop fields and `Age`, always with a `Date`.
    #[must_use]
    pub const fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.metadata.status
    }

    /// The content.
    #[must_use]
    pub const fn content(&self) -> &Bytes {
        &self.content
    }

    /// Length of the content: what `Content-Length` says (the content may be elsewhere), else what is here.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        let stated = self.fields.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        stated.unwrap_or(self.content.len() as u64)
    }

    /// What it varies on.
    #[must_use]
    pub const fn variance(&self) -> &Variance {
        &self.metadata.variance
    }

    /// The origin's `Date`, or the time of receipt.
    #[must_use]
    pub fn date(&self) -> Timestamp {
        date_field(&self.fields, &DATE).unwrap_or(self.metadata.response_time)
    }

    /// Its validators.
    #[must_use]
    pub fn validators(&self) -> Validators<'_> {
        Validators::of(&self.fields)
    }

    /// Age at `now` (RFC 9111 section 4.2.3): the value of `Age`.
    #[must_use]
    pub fn current_age(&self, now: Timestamp) -> Duration {
        current_age(self.metadata.initial_age, self.metadata.response_time, now)
    }

    /// Whether it is fresh at `now`: its lifetime is above its age (RFC 9111 section 4.2).
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.metadata.lifetime > self.current_age(now)
    }

    /// How long it stays fresh from `now`; zero if it is stale.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Duration {
        self.metadata.lifetime.saturating_sub(self.current_age(now))
    }

    /// How long ago it became stale; zero if it is fresh.
    #[must_use]
    pub fn staleness(&self, now: Timestamp) -> Duration {
        self.current_age(now).saturating_sub(self.metadata.lifetime)
    }

    /// Whole seconds it stays fresh from `now`, negative if it is stale: `ttl` of `Cache-Status`.
    #[must_use]
    pub fn ttl(&self, now: Timestamp) -> i64 {
        let lifetime = i64::try_from(self.metadata.lifetime.as_secs()).unwrap_or(i64::MAX);
        lifetime.saturating_sub(i64::try_from(self.current_age(now).as_secs()).unwrap_or(i64::MAX))
    }

    /// The first time at which nothing may use it any more without validation: stale, and out of both stale windows.
    #[must_use]
    pub fn useless_at(&self) -> Timestamp {
        let metadata = &self.metadata;
        let window = metadata.stale_while_revalidate.max(metadata.stale_if_error);
        let usable = metadata.lifetime.saturating_add(window).saturating_sub(metadata.initial_age);
        metadata.response_time.saturating_add(usable)
    }

    /// Bytes it occupies in memory: fields, content and what holds them.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let lines = self.fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD);
        let keys = self.metadata.surrogate_keys.iter().map(|key| key.len() + size_of::<Box<str>>());
        let held = lines.chain(keys).sum::<usize>() + self.metadata.variance.weight() + self.content.len();
        (size_of::<Self>() + held) as u64
    }

    /// The response freshened by the 304 (or, for HEAD, 200) response of `exchange` (RFC 9111 section 3.2), and whether it
    /// may still be stored: a 304 may say `no-store` or `private`, and the result then is for the one client that asked.
    ///
    /// All fields of the 304 are taken but hop-by-hop ones, `Content-Length`, and those that describe the stored bytes
    /// rather than the resource: `Content-Encoding`, `Content-Range`, `Content-MD5`, `Content-Digest`, and `ETag` where
    /// there is one.
    #[must_use]
    pub fn freshen(&self, exchange: &Exchange<'_>, policy: &StorePolicy) -> (Self, Storability) {
        let mut received = exchange.response.clone();
        hop_by_hop::strip_for_storage(&mut received);
        let mut fields = self.fields.clone();
        for name in received.keys().filter(|name| self.is_updated(name)) {
            fields.remove(name);
            for value in received.get_all(name) {
                fields.append(name.clone(), value.clone());
            }
        }
        if date_field(&received, &DATE).is_none() {
            insert_date(&mut fields, exchange.response_time);
        }
        let merged = Exchange {
            status: self.metadata.status,
            response: &fields,
            request_has_content: false,
            method: &http::Method::GET,
            directives: ResponseDirectives::effective(&fields, &policy.targets),
            ..exchange.clone()
        };
        let storability = storability(&merged, policy);
        let variance = Some(Variance::new(&fields, exchange.request));
        let variance = variance.filter(|new| !new.same_fields(&self.metadata.variance));
        let mut metadata = distil(&merged, policy, variance.unwrap_or_else(|| self.metadata.variance.clone()));
        if !has_surrogate_keys(&received) {
            // They are not kept among the fields.
            metadata.surrogate_keys.clone_from(&self.metadata.surrogate_keys);
        }
        let directives = merged.directives;
        clean(&mut fields, &directives, policy);
        (Self { metadata, fields, content: self.content.clone() }, storability)
    }

    /// Whether a 304 replaces this field.
    fn is_updated(&self, name: &HeaderName) -> bool {
        const KEPT: [HeaderName; 5] = [
            CONTENT_LENGTH,
            CONTENT_ENCODING,
            CONTENT_RANGE,
            HeaderName::from_static("content-md5"),
            HeaderName::from_static("content-digest"),
        ];
        let has_etag = *name == ETAG && self.fields.contains_key(ETAG);
        !has_etag && !KEPT.contains(name)
    }

    /// The same response for another variant: a 304 said that it answers `request` too.
    #[must_use]
    pub fn for_request(&self, request: &HeaderMap) -> Self {
        let mut other = self.clone();
        other.metadata.variance = Variance::new(&self.fields, request);
        other
    }

    /// The same response, stale from `now` on: a soft purge, or a HEAD response that contradicts it.
    #[must_use]
    pub fn made_stale(&self, now: Timestamp) -> Self {
        let mut stale = self.clone();
        stale.metadata.lifetime = self.metadata.lifetime.min(self.current_age(now));
        stale
    }
}

/// Removes what is not stored.
fn clean(fields: &mut HeaderMap, directives: &ResponseDirectives, policy: &StorePolicy) {
    hop_by_hop::strip_for_storage(fields);
    fields.remove(AGE);
    for name in directives.private.fields().iter().chain(directives.no_cache.fields()) {
        fields.remove(name);
    }
    if !policy.keep_surrogate_keys {
        strip_surrogate_keys(fields);
    }
    if policy.set_cookie != SetCookie::Rfc {
        fields.remove(SET_COOKIE);
        fields.remove("set-cookie2");
    }
}

fn insert_date(fields: &mut HeaderMap, time: Timestamp) {
    if let Ok(value) = HeaderValue::try_from(time.http_date()) {
        fields.insert(DATE, value);
    }
}

fn distil(exchange: &Exchange<'_>, policy: &StorePolicy, variance: Variance) -> Metadata {
    let Freshness { lifetime, source, stale_while_revalidate, stale_if_error } = freshness(exchange, &policy.freshness);
    let directives = &exchange.directives;
    Metadata {
        status: exchange.status,
        request_time: exchange.request_time,
        response_time: exchange.response_time,
        initial_age: initial_age(exchange.response, exchange.request_time, exchange.response_time),
        lifetime,
        source,
        stale_while_revalidate,
        stale_if_error,
        validate_always: directives.no_cache.is_unqualified(),
        forbids_stale: directives.forbids_stale(),
        no_transform: directives.no_transform,
        variance,
        surrogate_keys: surrogate_keys(exchange.response),
        stamp: 0,
    }
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
