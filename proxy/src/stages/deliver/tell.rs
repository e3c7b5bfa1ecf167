//! What every answer says of itself: `Age`, `Via`, `Cache-Status`, `X-Cache`.

use std::time::SystemTime;

use forebay_cache::semantics::CacheStatus;
use http::header::{AGE, DATE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::account::entry::CacheOutcome;
use crate::context::Context;
use crate::http::date;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// What LSCache's plugin and its users look at.
const X_LITESPEED_CACHE: HeaderName = HeaderName::from_static("x-litespeed-cache");

/// This cache's name in `Cache-Status` and `Via`.
pub(crate) const NAME: &str = "Forebay";

/// What an answer says of itself each time.
pub(crate) struct Told {
    pub(crate) outcome: CacheOutcome,
    /// The site is driven by LSCache.
    pub(crate) litespeed: bool,
    /// When the request came.
    pub(crate) at: SystemTime,
}

/// Adds what is the same each time: `Date` where it is ours to give, `Via`, `X-Cache`.
pub(crate) fn tell_of_itself(told: &Told, fields: &mut HeaderMap) {
    if !fields.contains_key(DATE) {
        fields.insert(DATE, date::field(told.at));
    }
    via(fields);
    fields.insert(X_CACHE, HeaderValue::from_static(told.outcome.word()));
    if told.litespeed {
        let hit = matches!(told.outcome, CacheOutcome::Hit | CacheOutcome::Stale(_) | CacheOutcome::Collapsed);
        fields.insert(X_LITESPEED_CACHE, HeaderValue::from_static(if hit { "hit" } else { "miss" }));
    }
}

/// Adds what changes from one second to the next: `Age` and `Cache-Status`.
pub(crate) fn tell_of_now(context: &Context, fields: &mut HeaderMap) {
    if let Some(age) = context.age {
        fields.insert(AGE, HeaderValue::from(age.as_secs().min(1 << 31)));
    }
    cache_status(context, fields);
}

/// RFC 9110 section 7.6.3.
fn via(fields: &mut HeaderMap) {
    const OURS: HeaderValue = HeaderValue::from_static("1.1 Forebay");
    let before: Vec<&str> = fields.get_all(VIA).iter().filter_map(|line| line.to_str().ok()).collect();
    let value = if before.is_empty() {
        OURS
    } else {
        HeaderValue::try_from(format!("{}, 1.1 {NAME}", before.join(", "))).unwrap_or(OURS)
    };
    fields.insert(VIA, value);
}

/// RFC 9211.
fn cache_status(context: &Context, fields: &mut HeaderMap) {
    let mut status = match (context.outcome, context.forward) {
        (CacheOutcome::Error | CacheOutcome::None | CacheOutcome::Offload, None) => CacheStatus::generated(NAME),
        (_, Some(reason)) => CacheStatus::forwarded(NAME, reason),
        (_, None) => CacheStatus::hit(NAME),
    };
    if let Some(code) = context.upstream.and_then(|upstream| upstream.status)
        && let Ok(code) = StatusCode::from_u16(code)
    {
        status = status.forward_status(code);
    }
    if let Some(ttl) = context.ttl {
        status = status.ttl(ttl);
    }
    status = status.stored(context.stored).collapsed(context.collapsed);
    let told = &context.runtime.config.server.explain_to;
    if let Some(detail) = context.detail.filter(|_| told.iter().any(|net| net.contains(&context.client))) {
        status = status.detail(detail);
    }
    status.append_to(fields);
}
