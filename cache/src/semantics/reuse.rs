//! Whether a stored response may answer a request without asking the origin (RFC 9111 sections 4 and 4.2.4, RFC 5861).
//!
//! Selection comes first and is not made here: the target URI, the method and `Vary` already match.

use std::time::Duration;

use super::directives::{MaxStale, RequestDirectives, ResponseDirectives};
use super::status::ForwardReason;
use super::storability::StorePolicy;
use crate::clock::Timestamp;
use crate::stored::StoredResponse;

/// What a selected stored response may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// It is fresh enough for this request.
    Fresh,
    /// It is stale, and may be used while a fill in the background validates it (RFC 5861 section 3).
    StaleWhileRevalidate,
    /// It is stale, and the client said it accepts that (`max-stale`).
    StaleAllowed,
    /// The origin has to be asked: because the response is stale, or because the request does not want it as it is.
    /// Where the request says `only-if-cached`, the answer is 504.
    MustValidate(ForwardReason),
}

/// What `stored` may be used for at `now`, for a request with these directives.
#[must_use]
pub fn reuse(stored: &StoredResponse, request: &RequestDirectives, now: Timestamp) -> Reuse {
    let age = stored.current_age(now);
    let fresh = stored.is_fresh(now);
    let refused_by_request = request.no_cache
        || request.max_age.is_some_and(|limit| age > limit)
        || request.min_fresh.is_some_and(|least| stored.remaining(now) < least);
    match (stored.metadata().validate_always, fresh, refused_by_request) {
        (true, ..) => Reuse::MustValidate(ForwardReason::Stale),
        (false, true, true) => Reuse::MustValidate(ForwardReason::Request),
        (false, true, false) => Reuse::Fresh,
        (false, false, true) => Reuse::MustValidate(ForwardReason::Stale),
        (false, false, false) => stale(stored, request, stored.staleness(now)),
    }
}

/// A stale response the request does not refuse for its age.
fn stale(stored: &StoredResponse, request: &RequestDirectives, staleness: Duration) -> Reuse {
    let metadata = stored.metadata();
    let accepted = match request.max_stale {
        Some(MaxStale::Any) => true,
        Some(MaxStale::Within(limit)) => staleness <= limit,
        None => false,
    };
    if accepted && !metadata.forbids_stale {
        return Reuse::StaleAllowed;
    }
    // A client that states how old or how fresh its response has to be did not ask for a stale one (5.2.1.1, 5.2.1.3).
    let client_wants_fresh = request.max_age.is_some() || request.min_fresh.is_some();
    if !client_wants_fresh && staleness < metadata.stale_while_revalidate {
        return Reuse::StaleWhileRevalidate;
    }
    Reuse::MustValidate(ForwardReason::Stale)
}

/// Whether `stored`, stale or not, may be used at `now` in place of an error: the origin could not be reached, did not
/// answer in time, or answered 500, 502, 503 or 504 (RFC 5861 section 4).
///
/// The request's own `stale-if-error` replaces the response's. `no-cache` of the request forbids it; a `max-age` does
/// not, for the choice is no longer between an older and a newer response.
#[must_use]
pub fn stale_if_error(stored: &StoredResponse, request: &RequestDirectives, now: Timestamp) -> bool {
    let metadata = stored.metadata();
    if request.no_cache || metadata.validate_always {
        return false;
    }
    if stored.is_fresh(now) {
        return true;
    }
    let window = request.stale_if_error.unwrap_or(metadata.stale_if_error);
    !metadata.forbids_stale && stored.staleness(now) < window
}

/// Whether `stored`, stale or not, may be used at `now` because the origin cannot be reached: no connection, or none that
/// brought a response. RFC 9111 section 4.2.4 allows a disconnected cache what it allows no other, without anybody's word;
/// whatever forbids stale responses forbids this too. An own `stale-if-error` of the response, shorter or longer, is kept
/// to: its author thought of this very case.
#[must_use]
pub fn stale_if_disconnected(
    stored: &StoredResponse,
    request: &RequestDirectives,
    policy: &StorePolicy,
    now: Timestamp,
) -> bool {
    if stale_if_error(stored, request, now) {
        return true;
    }
    let metadata = stored.metadata();
    if request.no_cache || request.stale_if_error.is_some() || metadata.validate_always || metadata.forbids_stale {
        return false;
    }
    let directives = ResponseDirectives::effective(stored.fields(), &policy.targets);
    directives.stale_if_error.is_none() && stored.staleness(now) < policy.freshness.stale_if_disconnected
}

#[cfg(test)]
#[path = "reuse_tests.rs"]
mod tests;
