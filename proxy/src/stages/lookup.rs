//! Lookup: what is stored under the key, and whether it may answer.

use std::sync::OnceLock;

use forebay_cache::key::CacheKey;
use forebay_cache::semantics::{
    ForwardReason, RequestDirectives, ResponseDirectives, Reuse, is_shared_despite_authorization, reuse,
};
use forebay_cache::store::{Found, Tier, Variant, Variants};
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
    Ask { reason: ForwardReason, selected: Option<Variant>, candidates: Vec<Variant> },
}

/// Looks `key` up. `forwarded` makes the fields of the request as it would be forwarded: `Vary` is about those.
pub(crate) async fn lookup(
    context: &Context,
    key: &CacheKey,
    directives: &RequestDirectives,
    forwarded: impl Fn() -> HeaderMap + Sync,
) -> Lookup {
    let (lookup, tier) = look(context, key, directives, forwarded).await;
    count(context, tier);
    lookup
}

/// [`lookup`], uncounted, and the tier that had what was found.
pub(crate) async fn look(
    context: &Context,
    key: &CacheKey,
    directives: &RequestDirectives,
    forwarded: impl Fn() -> HeaderMap + Sync,
) -> (Lookup, Option<Tier>) {
    let fields = OnceLock::new();
    let forwarded = || fields.get_or_init(&forwarded);
    let found = context.lasting().store.get(key, |variants| select(variants, forwarded).is_some()).await;
    let Some(Found { variants, tier }) = found else {
        return (Lookup::Ask { reason: ForwardReason::UriMiss, selected: None, candidates: Vec::new() }, None);
    };
    let Some(variant) = select(&variants, forwarded).cloned() else {
        let candidates = variants.iter().cloned().collect();
        return (Lookup::Ask { reason: ForwardReason::VaryMiss, selected: None, candidates }, None);
    };
    let lasting = context.lasting();
    let is_hidden = lasting.cluster.as_ref().is_some_and(|cluster| cluster.hides(&variant.response));
    if is_hidden || lasting.groups.is_invalidated(key, &variant.response) {
        return (Lookup::Ask { reason: ForwardReason::UriMiss, selected: None, candidates: Vec::new() }, None);
    }
    let lookup = match reuse(&variant.response, directives, context.now) {
        Reuse::Fresh => Lookup::Usable(variant),
        Reuse::StaleWhileRevalidate => Lookup::Stale(variant, StaleReason::Revalidate),
        Reuse::StaleAllowed => Lookup::Stale(variant, StaleReason::Request),
        Reuse::MustValidate(reason) => {
            let candidates = vec![variant.clone()];
            Lookup::Ask { reason, selected: Some(variant), candidates }
        }
    };
    (lookup, Some(tier))
}

/// A fresh response of `key` that says it is meant for those who authenticate, too.
pub(crate) async fn shared(
    context: &Context,
    key: &CacheKey,
    route: &Route,
    forwarded: impl Fn() -> HeaderMap + Sync,
) -> Option<Variant> {
    let directives = RequestDirectives::parse(&context.request.fields);
    let Lookup::Usable(variant) = lookup(context, key, &directives, forwarded).await else { return None };
    is_for_authorized(&variant, route).then_some(variant)
}

/// Whether a stored response says that it is meant for those who authenticate, too.
pub(crate) fn is_for_authorized(variant: &Variant, route: &Route) -> bool {
    let said = ResponseDirectives::effective(variant.response.fields(), &route.rules.policy.targets);
    is_shared_despite_authorization(&said)
}

/// Most responses do not vary: then the forwarded fields need not be made.
fn select<'v, 'f>(variants: &'v Variants, forwarded: impl FnOnce() -> &'f HeaderMap) -> Option<&'v Variant> {
    match variants.iter().next() {
        Some(newest) if newest.response.variance().is_empty() => Some(newest),
        _ => variants.select(forwarded()),
    }
}

/// A hit of the disk tier is a miss of the memory tier.
fn count(context: &Context, hit: Option<Tier>) {
    let metrics = &context.lasting().metrics;
    match hit {
        Some(Tier::Memory) => return metrics.memory.hits.inc(),
        Some(Tier::Disk) => metrics.disk.hits.inc(),
        None if context.lasting().store.disk().is_some() => metrics.disk.misses.inc(),
        None => {}
    }
    metrics.memory.misses.inc();
}
