//! Lookup: what is stored under the key, and whether it may answer.

use std::sync::Arc;

use forebay_cache::key::CacheKey;
use forebay_cache::semantics::{
    ForwardReason, RequestDirectives, ResponseDirectives, Reuse, is_shared_despite_authorization, reuse,
};
use forebay_cache::store::{Variant, Variants};
use forebay_cache::stored::StoredResponse;
use http::HeaderMap;

use crate::account::entry::StaleReason;
use crate::context::Context;
use crate::site::Route;

/// What the store says to a request.
pub(crate) enum Lookup {
    /// This answers it.
    Usable(Variant),
    /// This answers it although it is stale.
    Stale(Variant, StaleReason),
    /// The origin has to be asked, for this reason. `selected` is what could stand in if that fails; `candidates` are
    /// what the origin may say is still good.
    Ask { reason: ForwardReason, selected: Option<Variant>, candidates: Vec<Arc<StoredResponse>> },
}

/// Looks `key` up. `forwarded` makes the fields of the request as it would be forwarded: `Vary` is about those.
pub(crate) fn lookup(
    context: &Context,
    key: &CacheKey,
    directives: &RequestDirectives,
    forwarded: impl FnOnce() -> HeaderMap,
) -> Lookup {
    let metrics = &context.lasting().metrics.memory;
    let Some(variants) = context.lasting().store.get(key) else {
        metrics.misses.inc();
        return Lookup::Ask { reason: ForwardReason::UriMiss, selected: None, candidates: Vec::new() };
    };
    let Some(variant) = select(&variants, forwarded).cloned() else {
        metrics.misses.inc();
        let candidates = all(&variants);
        return Lookup::Ask { reason: ForwardReason::VaryMiss, selected: None, candidates };
    };
    if context.lasting().groups.is_invalidated(key, &variant.response) {
        metrics.misses.inc();
        return Lookup::Ask { reason: ForwardReason::UriMiss, selected: None, candidates: Vec::new() };
    }
    metrics.hits.inc();
    match reuse(&variant.response, directives, context.now) {
        Reuse::Fresh => Lookup::Usable(variant),
        Reuse::StaleWhileRevalidate => Lookup::Stale(variant, StaleReason::Revalidate),
        Reuse::StaleAllowed => Lookup::Stale(variant, StaleReason::Request),
        Reuse::MustValidate(reason) => {
            let candidates = vec![Arc::clone(&variant.response)];
            Lookup::Ask { reason, selected: Some(variant), candidates }
        }
    }
}

/// A fresh response of `key` that says it is meant for those who authenticate, too.
pub(crate) fn shared(
    context: &Context,
    key: &CacheKey,
    route: &Route,
    forwarded: impl FnOnce() -> HeaderMap,
) -> Option<Variant> {
    let directives = RequestDirectives::parse(&context.request.fields);
    let Lookup::Usable(variant) = lookup(context, key, &directives, forwarded) else { return None };
    let said = ResponseDirectives::effective(variant.response.fields(), &route.rules.policy.targets);
    is_shared_despite_authorization(&said).then_some(variant)
}

/// Most responses do not vary: then the forwarded fields need not be made.
fn select(variants: &Variants, forwarded: impl FnOnce() -> HeaderMap) -> Option<&Variant> {
    match variants.iter().next() {
        Some(newest) if newest.response.variance().is_empty() => Some(newest),
        _ => variants.select(&forwarded()),
    }
}

fn all(variants: &Variants) -> Vec<Arc<StoredResponse>> {
    variants.iter().map(|variant| Arc::clone(&variant.response)).collect()
}
