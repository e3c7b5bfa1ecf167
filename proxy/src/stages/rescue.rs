//! Rescue: the one place where a failure becomes a response. Clients get a status and a sentence, never a reason.

use bytes::Bytes;
use forebay_cache::key::CacheKey;
use forebay_cache::purge::Standing;
use forebay_cache::semantics::{RequestDirectives, stale_if_disconnected, stale_if_error};
use forebay_cache::store::Variant;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::account::entry::CacheOutcome;
use crate::context::Context;
use crate::fetch::FetchError;
use crate::http::{Answer, Refusal};
use crate::site::Route;

/// Why a request has no response of an upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request is not served.
    Refused(Refusal),
    /// The upstream did not answer, or not as it must.
    Fetch(FetchError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

/// The response to a failure.
pub(crate) fn rescue(context: &mut Context, failure: Failure) -> Answer {
    let (status, reason) = match failure {
        Failure::Refused(refusal) => {
            // Who sends what is not understood may have meant the next bytes in another way, too.
            let understood = matches!(
                refusal.status,
                StatusCode::NOT_FOUND
                    | StatusCode::GATEWAY_TIMEOUT
                    | StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::TOO_MANY_REQUESTS
            );
            context.close |= !understood;
            (refusal.status, refusal.reason)
        }
        Failure::Fetch(error) => (error.status, error.reason),
    };
    context.outcome = CacheOutcome::Error;
    context.detail = Some(reason);
    let mut answer = synthetic(status);
    if let Some(seconds) = context.retry_after {
        answer.fields.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(challenge) = context.challenge.take() {
        answer.fields.insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

/// Whether a stored response, stale or not, answers in place of an error.
pub(crate) fn stands_in(
    context: &Context,
    route: &Route,
    key: &CacheKey,
    variant: &Variant,
    directives: &RequestDirectives,
    error: FetchError,
) -> bool {
    // Purged while the upstream was waited for.
    if context.lasting().store.standing(key, variant) == Standing::Gone {
        return false;
    }
    if error.is_disconnection() {
        return stale_if_disconnected(&variant.response, directives, &route.rules.policy, context.now);
    }
    error.is_of_upstream() && stale_if_error(&variant.response, directives, context.now)
}

/// A response made here: a short page, not to be stored by anyone.
pub(crate) fn synthetic(status: StatusCode) -> Answer {
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        fields.insert(http::header::ALLOW, METHODS);
    }
    Answer::whole(status, fields, page(status))
}

fn page(status: StatusCode) -> Bytes {
    let (code, reason) = (status.as_str(), status.canonical_reason().unwrap_or("Error"));
    Bytes::from(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{code} {reason}</title>\
         <h1>{code} {reason}</h1><p>{}</p></html>\n",
        sentence(status)
    ))
}

fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "The request was not understood.",
        StatusCode::UNAUTHORIZED => "This needs a name and a password.",
        StatusCode::FORBIDDEN => "This is not for you.",
        StatusCode::TOO_MANY_REQUESTS => "That was too often. Please try again in a while.",
        StatusCode::NOT_FOUND => "There is nothing here.",
        StatusCode::METHOD_NOT_ALLOWED => "This method is not served here.",
        StatusCode::REQUEST_TIMEOUT => "The request took too long to arrive.",
        StatusCode::PAYLOAD_TOO_LARGE => "What was sent is too large.",
        StatusCode::MISDIRECTED_REQUEST => "This host is not served here.",
        StatusCode::BAD_GATEWAY => "The server behind this one gave no valid answer.",
        StatusCode::SERVICE_UNAVAILABLE => "No server can answer at the moment. Please try again in a while.",
        StatusCode::GATEWAY_TIMEOUT => "The server behind this one did not answer in time.",
        StatusCode::LOOP_DETECTED => "The request came back to where it had been.",
        _ => "The request could not be served.",
    }
}
