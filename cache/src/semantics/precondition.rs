//! Conditional requests: RFC 9110 section 13.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

mod entity_tag;
#[cfg(test)]
mod tests;

pub use entity_tag::EntityTag;
use entity_tag::{Members, members};

/// What the selected representation is known by. It exists; a target without a current representation needs no evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'a> {
    /// Its entity tag.
    pub etag: Option<EntityTag<'a>>,
    /// When it was last modified. Compared in whole seconds, as the field carries it.
    pub last_modified: Option<SystemTime>,
    /// When the response was made: now at an origin server, the `Date` of a stored response. It tells whether `last_modified` is
    /// strong (section 8.8.2.2); without it no date is.
    pub date: Option<SystemTime>,
}

/// What the preconditions of a request ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Go on: perform the method, `Range` included.
    Proceed,
    /// 304 Not Modified.
    NotModified,
    /// 412 Precondition Failed.
    Failed,
}

/// Evaluates as the origin server does, in the order of section 13.2.2. `If-Range` is apart: [`if_range`].
///
/// The caller has made sure that the request would get a 2xx without its preconditions (section 13.2.1).
#[must_use]
pub fn evaluate(method: &Method, request: &HeaderMap, current: &Validators<'_>) -> Precondition {
    // Section 13.2.1: these neither select nor modify a representation.
    if matches!(*method, Method::CONNECT | Method::OPTIONS | Method::TRACE) {
        return Precondition::Proceed;
    }
    let matched = match members(request, &header::IF_MATCH) {
        Members::Absent => unmodified_since(request, current),
        Members::Any => true,
        Members::List(mut tags) => current.etag.is_some_and(|etag| tags.any(|tag| tag.strong_eq(&etag))),
    };
    if !matched {
        return Precondition::Failed;
    }
    none_match(method, request, current.etag, current.last_modified)
}

/// Evaluates as a cache does for a stored response: only `If-None-Match` and `If-Modified-Since`. The other two are meant for the
/// origin server and a cache MUST NOT evaluate them (RFC 9111 section 4.3.2). A stored response without `Last-Modified` counts as
/// modified at its `Date`.
#[must_use]
pub fn evaluate_stored(method: &Method, request: &HeaderMap, stored: &Validators<'_>) -> Precondition {
    none_match(method, request, stored.etag, stored.last_modified.or(stored.date))
}

/// `If-None-Match` (section 13.1.2), or `If-Modified-Since` where that is missing.
fn none_match(
    method: &Method,
    request: &HeaderMap,
    etag: Option<EntityTag<'_>>,
    last_modified: Option<SystemTime>,
) -> Precondition {
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let matched = match members(request, &header::IF_NONE_MATCH) {
        Members::Absent if safe => return modified_since(request, last_modified),
        Members::Absent => false,
        Members::Any => true,
        Members::List(mut tags) => etag.is_some_and(|etag| tags.any(|tag| tag.weak_eq(&etag))),
    };
    match (matched, safe) {
        (false, _) => Precondition::Proceed,
        (true, true) => Precondition::NotModified,
        (true, false) => Precondition::Failed,
    }
}

/// Whether `Range` may be obeyed: there is no `If-Range`, or its validator is the current one by strong comparison (section 13.1.5).
#[must_use]
pub fn if_range(request: &HeaderMap, current: &Validators<'_>) -> bool {
    let field = match only(request, &header::IF_RANGE) {
        Line::Absent => return true,
        Line::Several => return false,
        Line::One(field) => field,
    };
    if let Some(tag) = EntityTag::parse(field.as_bytes()) {
        return current.etag.is_some_and(|etag| tag.strong_eq(&etag));
    }
    let (Some(date), Some(last_modified)) = (http_date(field), current.last_modified.and_then(seconds)) else {
        return false;
    };
    // Section 8.8.2.2: a date is strong once a second has passed since, for then it cannot have named two representations.
    let strong = current.date.and_then(seconds).is_some_and(|now| now > last_modified);
    strong && date == last_modified
}

/// `If-Unmodified-Since` (section 13.1.4), true when there is nothing to compare.
fn unmodified_since(request: &HeaderMap, current: &Validators<'_>) -> bool {
    match (since(request, &header::IF_UNMODIFIED_SINCE), current.last_modified.and_then(seconds)) {
        (Some(date), Some(last_modified)) => last_modified <= date,
        _ => true,
    }
}

/// `If-Modified-Since` (section 13.1.3) for what was `last_modified` then.
fn modified_since(request: &HeaderMap, last_modified: Option<SystemTime>) -> Precondition {
    match (since(request, &header::IF_MODIFIED_SINCE), last_modified.and_then(seconds)) {
        (Some(date), Some(last_modified)) if last_modified <= date => Precondition::NotModified,
        _ => Precondition::Proceed,
    }
}

/// The date of a field that must have exactly one; anything else is ignored.
fn since(request: &HeaderMap, name: &HeaderName) -> Option<u64> {
    match only(request, name) {
        Line::One(field) => http_date(field),
        Line::Absent | Line::Several => None,
    }
}

enum Line<'a> {
    Absent,
    One(&'a HeaderValue),
    Several,
}

fn only<'a>(request: &'a HeaderMap, name: &HeaderName) -> Line<'a> {
    let mut lines = request.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Line::Absent,
        (Some(field), None) => Line::One(field),
        (Some(_), Some(_)) => Line::Several,
    }
}

/// Any of the three forms of section 5.6.7, in seconds since 1970.
fn http_date(field: &HeaderValue) -> Option<u64> {
    seconds(httpdate::parse_http_date(field.to_str().ok()?).ok()?)
}

/// Whole seconds since 1970; dates before have no validator.
fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs)
}
