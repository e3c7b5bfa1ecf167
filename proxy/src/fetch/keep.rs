//! Keep: where the content of a storable response goes.

use forebay_cache::body::BodyWriter;
use forebay_cache::fill::Verdict;
use forebay_cache::queries::Admission;
use forebay_cache::store::disk::LargeWriter;

use super::run::StorePlan;
use crate::runtime::Lasting;

/// Why a storable response is shared while it arrives, and not stored: its path has as many queries as it may have.
/// Where another has to make room for it that is forgotten.
pub(super) async fn refused(lasting: &Lasting, plan: &StorePlan) -> Option<&'static str> {
    match lasting.queries.admit(&plan.key, plan.route.rules.max_queries?) {
        Admission::Admitted => None,
        Admission::Replaces(oldest) => {
            lasting.store.remove(&oldest).await;
            None
        }
        Admission::Refused => {
            lasting.metrics.queries_refused.inc();
            Some("too-many-queries")
        }
    }
}

/// Where the content will be kept: in memory (`None`), or in a file from the first byte on when it is known to be too large
/// for that. `Err`: nowhere, for this reason.
pub(super) async fn place(
    lasting: &Lasting,
    plan: &StorePlan,
    length: u64,
) -> Result<Option<LargeWriter>, &'static str> {
    if length <= lasting.store.max_in_memory() || plan.unkept.is_some() {
        return Ok(None);
    }
    if length > lasting.store.max_object() {
        return Err("too-large");
    }
    lasting.store.begin_large(&plan.key, Some(length)).await.map(Some).map_err(|_| "no-room")
}

/// The content has become too large for memory; whether it goes on in a file.
pub(super) async fn outgrow(lasting: &Lasting, plan: &mut StorePlan, writer: &mut BodyWriter) -> bool {
    let moved = match lasting.store.begin_large(&plan.key, None).await {
        Ok(file) => writer.move_to(file).await.is_ok(),
        Err(_) => false,
    };
    if !moved {
        give_up(lasting, plan, "too-large");
    }
    moved
}

/// The response will not be stored after all: nobody else joins it.
pub(super) fn give_up(lasting: &Lasting, plan: &mut StorePlan, reason: &'static str) {
    lasting.not_shared.insert(plan.key.clone(), reason);
    plan.leader.settle_and_leave(Verdict::NotShared(reason));
}
