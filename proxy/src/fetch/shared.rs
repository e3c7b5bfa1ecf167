//! A fill from the shared tier: what another node has stored, where this one may use it.

use std::sync::Arc;
use std::time::Duration;

use forebay_cache::clock::{Clock as _, Timestamp};
use forebay_cache::fill::Verdict;
use forebay_cache::purge::Standing;
use forebay_cache::semantics::{Exchange as Exchanged, storability};
use forebay_cache::store::Variant;
use forebay_cache::stored::StoredResponse;
use http::Method;
use http::header::AGE;

use super::forward::Outbound;
use super::keep;
use super::peer::wants_the_origin;
use super::run::StorePlan;
use crate::cluster::{Ledger, Term};
use crate::runtime::Lasting;
use crate::shared::Shared;

/// How far the clocks of two nodes may seem apart: each knows that of Redis to within one exchange.
const SKEW: Duration = Duration::from_secs(2);

fn ledger(lasting: &Lasting) -> Option<&Ledger> {
    lasting.cluster.as_ref()?.ledger()
}

/// Whether what `plan` brings is of the kind that nodes share: of everybody, and the whole.
fn is_shared(lasting: &Lasting, plan: &StorePlan) -> bool {
    !plan.of_one && plan.completion.is_none() && !lasting.canary.is_quarantined(&plan.key)
}

/// Where this node stands before it asks an AP server, for what is written then. `None`: it is not written.
pub(super) fn term(lasting: &Lasting, plan: &StorePlan) -> Option<Term> {
    lasting.shared.as_ref()?;
    if is_shared(lasting, plan) { ledger(lasting)?.term() } else { None }
}

/// Writes what an AP server sent, now that it is whole.
pub(super) fn offer(lasting: &Lasting, plan: &StorePlan, response: &Arc<StoredResponse>) {
    if let (Some(tier), Some(term), Some(ledger)) = (&lasting.shared, plan.shared, ledger(lasting)) {
        tier.offer(&plan.key, response, term, ledger.ahead(), lasting.clock.now());
    }
}

/// What the tier has for `plan`, stored here too.
pub(super) async fn find(lasting: &Lasting, plan: &mut StorePlan, outbound: &Outbound) -> Option<Variant> {
    let tier = lasting.shared.as_ref()?;
    // What is stored for this request is stale: whether it is still good is for its origin to say.
    let is_stored = |plan: &StorePlan| {
        plan.candidates.iter().any(|candidate| candidate.response.variance().matches(&outbound.fields))
    };
    if !is_shared(lasting, plan)
        || is_stored(plan)
        || outbound.method != Method::GET
        || wants_the_origin(&outbound.fields)
        || lasting.not_shared.contains_key(&plan.key)
    {
        return None;
    }
    let Some(ledger) = ledger(lasting).filter(|ledger| ledger.term().is_some()) else {
        tier.metrics.looked_up("skipped");
        return None;
    };
    let shared = tier.find(&plan.key, &outbound.fields).await?;
    let judged = judge(lasting, ledger, plan, outbound, &shared);
    let response = match judged {
        Ok(response) => Arc::new(response),
        Err(word) => {
            tier.metrics.looked_up(word);
            return None;
        }
    };
    let kept = keep::refused(lasting, plan).await.is_none();
    if kept && response.content().len() as u64 <= lasting.store.max_in_memory() {
        lasting.store.insert(&plan.key, Arc::clone(&response));
        // Invalidated while it was stored: see `invalidate`.
        if plan.leader.fill().is_doomed() {
            lasting.store.remove(&plan.key).await;
        }
    }
    if plan.leader.fill().is_doomed() {
        tier.metrics.looked_up("purged");
        return None;
    }
    tier.metrics.looked_up("hit");
    let variant = Variant::new(response);
    plan.leader.settle_and_leave(Verdict::Freshened(variant.clone()));
    Some(variant)
}

/// The response as the rules here have it, if it may be used now; else why not.
fn judge(
    lasting: &Lasting,
    ledger: &Ledger,
    plan: &StorePlan,
    outbound: &Outbound,
    shared: &Shared,
) -> Result<StoredResponse, &'static str> {
    let ours = |millis: i64| Timestamp::from_millis(millis.saturating_sub(ledger.ahead()));
    let (asked, received, now) = (ours(shared.asked), ours(shared.received), lasting.clock.now());
    if received < asked || received > now.saturating_add(SKEW) {
        return Err("refused");
    }
    let mut fields = shared.fields.clone();
    fields.insert(AGE, shared.initial_age.div_ceil(1000).into());
    let policy = &plan.route.rules.policy;
    let exchanged =
        Exchanged::new(&Method::GET, &outbound.fields, shared.status, &fields, asked, received, &policy.targets)
            .url(&plan.url);
    if !storability(&exchanged, policy).is_yes() {
        return Err("refused");
    }
    let response = StoredResponse::new(&exchanged, shared.content.clone(), policy);
    let mut metadata = response.metadata().clone();
    metadata.initial_age = Duration::from_millis(shared.initial_age);
    metadata.surrogate_keys.clone_from(&shared.tags);
    metadata.stamp = plan.leader.fill().stamp();
    let response = StoredResponse::from_parts(metadata, response.fields().clone(), shared.content.clone());
    if shared.key != crate::shared::keyed(&plan.key, &response).as_bytes() {
        return Err("refused");
    }
    if !response.is_fresh(now) || response.metadata().validate_always {
        return Err("stale");
    }
    let is_purged = lasting.groups.is_invalidated(&plan.key, &response)
        || lasting.store.purges().standing(&plan.key, &response, 0) != Standing::Current
        || !ledger.allows(&plan.key, &shared.tags, shared.term, shared.asked);
    if is_purged { Err("purged") } else { Ok(response) }
}
