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
    let matched = match members(lines(request, &header::IF_MATCH)) {
        Members::Absent => unmodified_since(request, current),
        Members::Any => true,
        Members::List(mut tags) => current.etag.is_some_and(|etag| tags.any(|tag| tag.strong_eq(&etag))),
    };
    if !matched {
        return Precondition::Failed;
    }
    none_match(method, conditions(request), current.etag, current.last_modified)
}

/// Evaluates as a cache does for a stored response: only `If-None-Match` and `If-Modified-Since`. The other two are meant for the
/// origin server and a cache MUST NOT evaluate them (RFC 9111 section 4.3.2). A stored response without `Last-Modified` counts as
/// modified at its `Date`.
#[must_use]
pub fn evaluate_stored(method: &Method, request: &HeaderMap, stored: &Validators<'_>) -> Precondition {
    none_match(method, conditions(request), stored.etag, stored.last_modified.or(stored.date))
}

/// The same for a GET or HEAD that has each of the two fields once at most.
#[must_use]
pub fn evaluate_plain(
    if_none_match: Option<&[u8]>,
    if_modified_since: Option<&[u8]>,
    stored: &Validators<'_>,
) -> Precondition {
    let conditions = Conditions { none_match: if_none_match.into_iter(), modified_since: if_modified_since };
    none_match(&Method::GET, conditions, stored.etag, stored.last_modified.or(stored.date))
}

/// The conditions that are for caches too.
struct Conditions<'a, I> {
    /// The lines of `If-None-Match`.
    none_match: I,
    /// The one line of `If-Modified-Since`.
    modified_since: Option<&'a [u8]>,
}

fn conditions(request: &HeaderMap) -> Conditions<'_, impl Iterator<Item = &[u8]>> {
    Conditions {
        none_match: lines(request, &header::IF_NONE_MATCH),
        modified_since: one(request, &header::IF_MODIFIED_SINCE),
    }
}

fn lines<'a>(request: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    request.get_all(name).into_iter().map(HeaderValue::as_bytes)
}

/// `If-None-Match` (section 13.1.2), or `If-Modified-Since` where that is missing.
fn none_match<'a>(
    method: &Method,
    conditions: Conditions<'a, impl Iterator<Item = &'a [u8]>>,
    etag: Option<EntityTag<'_>>,
    last_modified: Option<SystemTime>,
) -> Precondition {
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let matched = match members(conditions.none_match) {
        Members::Absent if safe => return modified_since(conditions.modified_since, last_modified),
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
    let (Some(date), Some(last_modified)) = (http_date(field.as_bytes()), current.last_modified.and_then(seconds))
    else {
        return false;
    };
    // Section 8.8.2.2: a date is strong once a second has passed since, for then it cannot have named two representations.
    let strong = current.date.and_then(seconds).is_some_and(|now| now > last_modified);
    strong && date == last_modified
}

/// `If-Unmodified-Since` (section 13.1.4), true when there is nothing to compare.
fn unmodified_since(request: &HeaderMap, current: &Validators<'_>) -> bool {
    match (one(request, &header::IF_UNMODIFIED_SINCE).and_then(http_date), current.last_modified.and_then(seconds)) {
        (Some(date), Some(last_modified)) => last_modified <= date,
        _ => true,
    }
}

/// `If-Modified-Since` (section 13.1.3) for what was `last_modified` then.
fn modified_since(field: Option<&[u8]>, last_modified: Option<SystemTime>) -> Precondition {
    match (field.and_then(http_date), last_modified.and_then(seconds)) {
        (Some(date), Some(last_modified)) if last_modified <= date => Precondition::NotModified,
        _ => Precondition::Proceed,
    }
}

/// The line of a field that must have exactly one; anything else is ignored.
fn one<'a>(request: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    match only(request, name) {
        Line::One(field) => Some(field.as_bytes()),
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
fn http_date(field: &[u8]) -> Option<u64> {
    seconds(httpdate::parse_http_date(std::str::from_utf8(field).ok()?).ok()?)
}

/// Whole seconds since 1970; dates before have no validator.
fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs)
}
