//! What a response does to what is stored already: a 304 and HEAD freshen it, an unsafe request invalidates it.

use std::sync::Arc;

use forebay_cache::clock::Clock as _;
use forebay_cache::purge::Standing;
use forebay_cache::semantics::groups::{groups as groups_of, invalidated_groups};
use forebay_cache::semantics::validation::{HeadEffect, freshened_by_304, head_effect};
use forebay_cache::semantics::{Exchange as Exchanged, TargetUri, invalidated};
use forebay_cache::store::Variant;
use forebay_cache::stored::StoredResponse;
use http::Method;

use super::receive::Head;
use super::run::{Invalidates, StorePlan};
use crate::runtime::Lasting;
use crate::stages;

/// Their responses.
pub(super) fn responses(candidates: &[Variant]) -> Vec<&StoredResponse> {
    candidates.iter().map(|candidate| candidate.response.as_ref()).collect()
}

/// RFC 9111 section 4.3.4. `None` when the 304 is about none of the candidates.
pub(super) fn freshen(
    lasting: &Lasting,
    plan: &StorePlan,
    exchanged: &Exchanged<'_>,
    candidates: &[Variant],
) -> Option<Variant> {
    let selected = freshened_by_304(exchanged.response, &responses(candidates));
    let mut answer = None;
    // What was purged since it was looked up is not brought back by anybody's word that it is still good.
    let is_used = |old: &&Variant| lasting.store.standing(&plan.key, old) != Standing::Gone;
    for old in selected.into_iter().filter_map(|index| candidates.get(index)).filter(is_used) {
        let (response, storability) = old.response.freshen(exchanged, &plan.route.rules.policy);
        let response = response.stamped(plan.leader.fill().stamp());
        let matches = response.variance().matches(exchanged.request);
        let mut fresh = old.freshened(Arc::new(response));
        if storability.is_yes() && !plan.leader.fill().is_doomed() {
            fresh = lasting.store.freshen(&plan.key, old, fresh.response);
            // Content in a file belongs to one variant.
            if !matches && fresh.large.is_none() {
                lasting.store.insert(&plan.key, Arc::new(fresh.response.for_request(exchanged.request)));
            }
        }
        answer.get_or_insert(fresh);
    }
    answer
}

/// RFC 9111 section 4.3.5: what the response to HEAD says of those to GET. One that describes the same representation
/// freshens the stored response, which then answers; one that contradicts it makes it stale.
pub(super) fn learn_from_head(
    lasting: &Lasting,
    plan: &StorePlan,
    exchanged: &Exchanged<'_>,
    candidates: &[Variant],
) -> Option<Variant> {
    let old = candidates.first().filter(|old| lasting.store.standing(&plan.key, old) != Standing::Gone)?;
    match head_effect(&old.response, exchanged.status, exchanged.response) {
        HeadEffect::Freshen => {
            let (response, storability) = old.response.freshen(exchanged, &plan.route.rules.policy);
            let mut fresh = old.freshened(Arc::new(response.stamped(plan.leader.fill().stamp())));
            if storability.is_yes() && !plan.leader.fill().is_doomed() {
                fresh = lasting.store.freshen(&plan.key, old, fresh.response);
            }
            Some(fresh)
        }
        HeadEffect::MakeStale => {
            if !plan.leader.fill().is_doomed() {
                let stale = old.response.made_stale(exchanged.response_time);
                lasting.store.freshen(&plan.key, old, Arc::new(stale));
            }
            None
        }
        HeadEffect::None => None,
    }
}

/// A fill looks whether it is doomed after it has stored: dooming first, then removing, leaves it no gap.
pub(super) async fn invalidate(lasting: &Lasting, method: &Method, invalidates: &Invalidates, head: &Head) {
    let groups = invalidated_groups(method, head.status, &head.fields);
    let uris = invalidated(method, head.status, &invalidates.target, &head.fields);
    if !uris.is_empty() || !groups.is_empty() {
        Box::pin(invalidate_all(lasting, invalidates, uris, groups)).await;
    }
}

async fn invalidate_all(lasting: &Lasting, invalidates: &Invalidates, uris: Vec<TargetUri>, mut groups: Vec<String>) {
    for uri in uris {
        if let Some(key) = stages::key::of_uri(&invalidates.site, &uri) {
            // RFC 9875 section 2.2.1: the groups of what is invalidated go with it. They do not cascade.
            let stored = lasting.store.get(&key, |_| false).await.map(|found| found.variants);
            let fields = stored.iter().flat_map(|stored| stored.iter()).map(|variant| variant.response.fields());
            groups.extend(fields.flat_map(groups_of));
            if let Some(ledger) = lasting.cluster.as_ref().and_then(|cluster| cluster.ledger()) {
                ledger.invalidate(&key, lasting.clock.now());
            }
            lasting.fills.doom(&key);
            lasting.store.remove(&key).await;
        }
    }
    if !groups.is_empty()
        && let Some(key) = stages::key::of_uri(&invalidates.site, &invalidates.target)
    {
        lasting.groups.invalidate(&key, &groups, lasting.clock.now());
    }
}
