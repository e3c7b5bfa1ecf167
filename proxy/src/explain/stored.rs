//! What is stored, and how long it stays fresh by whose word.

use forebay_cache::key::CacheKey;
use forebay_cache::semantics::targeted::SURROGATE_CONTROL;
use forebay_cache::semantics::{Exchange, FreshnessPolicy, LifetimeSource, freshness};
use forebay_cache::store::Variant;
use forebay_cache::stored::StoredResponse;
use http::header::{CACHE_CONTROL, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::finding::{Lifetime, Stored};
use super::words::Words;
use crate::context::Context;
use crate::service::Visit;

pub(super) fn stored(context: &Context, visit: &Visit, key: &CacheKey, variant: &Variant, words: &Words<'_>) -> Stored {
    let response = &variant.response;
    let metadata = response.metadata();
    let in_memory = context
        .lasting()
        .store
        .in_memory(key)
        .is_some_and(|held| held.iter().any(|other| other.response.variance() == response.variance()));
    let validators = response.validators();
    let names = [("ETag", validators.etag.is_some()), ("Last-Modified", validators.last_modified.is_some())];
    Stored {
        status: response.status().as_u16(),
        tier: if in_memory { "memory" } else { "disk" },
        bytes: variant.length(),
        age: response.current_age(context.now).as_secs(),
        ttl: response.ttl(context.now),
        lifetime: lifetime(visit, response, words),
        stale_while_revalidate: metadata.stale_while_revalidate.as_secs(),
        stale_if_error: metadata.stale_if_error.as_secs(),
        tags: metadata.surrogate_keys.iter().map(ToString::to_string).collect(),
        vary: response.variance().nominated().map(|(name, _)| name.to_string()).collect(),
        validators: names.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect(),
    }
}

fn lifetime(visit: &Visit, response: &StoredResponse, words: &Words<'_>) -> Lifetime {
    let metadata = response.metadata();
    let fields = response.fields();
    let policy = &visit.route.rules.policy;
    let (field, rule) = match metadata.source {
        LifetimeSource::Targeted => {
            let structured = policy.targets.structured.iter().find_map(|name| line(fields, name));
            (structured.or_else(|| line(fields, &SURROGATE_CONTROL)), None)
        }
        LifetimeSource::SMaxAge | LifetimeSource::MaxAge => (line(fields, &CACHE_CONTROL), None),
        LifetimeSource::Expires => (line(fields, &EXPIRES), None),
        LifetimeSource::Heuristic => (line(fields, &LAST_MODIFIED), None),
        LifetimeSource::RefreshPattern => (None, words.refresh_pattern(&visit.target.url())),
        LifetimeSource::Assigned => (None, Some(words.lifetimes(metadata.status.as_u16()))),
        LifetimeSource::None => (None, None),
    };
    let cut = policy.freshness.max_lifetime == Some(metadata.lifetime) && !metadata.lifetime.is_zero();
    Lifetime {
        seconds: metadata.lifetime.as_secs(),
        source: metadata.source.as_str(),
        field,
        rule,
        ceiling: words.max_lifetime().filter(|_| cut),
    }
}

fn line(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = fields.get(name)?.to_str().ok()?;
    Some(format!("{name}: {value}"))
}

/// The lifetime of a 200 that says nothing itself.
pub(super) fn would_be(context: &Context, visit: &Visit, forwarded: &HeaderMap, words: &Words<'_>) -> Lifetime {
    let policy = &visit.route.rules.policy;
    let (method, fields, url) = (Method::GET, HeaderMap::new(), visit.target.url());
    let now = context.now;
    let exchange = Exchange::new(&method, forwarded, StatusCode::OK, &fields, now, now, &policy.targets).url(&url);
    let found = freshness(&exchange, &policy.freshness);
    let uncut = freshness(&exchange, &FreshnessPolicy { max_lifetime: None, ..policy.freshness.clone() });
    let rule = match found.source {
        LifetimeSource::RefreshPattern => words.refresh_pattern(&url),
        LifetimeSource::Assigned => Some(words.lifetimes(200)),
        _ => None,
    };
    Lifetime {
        seconds: found.lifetime.as_secs(),
        source: found.source.as_str(),
        field: None,
        rule,
        ceiling: words.max_lifetime().filter(|_| uncut.lifetime > found.lifetime),
    }
}
