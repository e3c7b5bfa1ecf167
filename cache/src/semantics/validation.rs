//! Validation (RFC 9111 section 4.3): the conditional request, and which stored responses its answer freshens.

use http::header::{
    CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, StatusCode};

use super::age::date_field;
use crate::clock::Timestamp;
use crate::stored::StoredResponse;

/// An entity tag as it was received. One without quotes is malformed, but kept and sent as it is: the origin that made it
/// knows it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    value: &'a HeaderValue,
}

impl<'a> EntityTag<'a> {
    /// The entity tag of a response.
    #[must_use]
    pub fn of(response: &'a HeaderMap) -> Option<Self> {
        response.get(ETAG).filter(|value| !value.as_bytes().trim_ascii().is_empty()).map(|value| Self { value })
    }

    /// Whether it is a weak validator.
    #[must_use]
    pub fn is_weak(self) -> bool {
        self.value.as_bytes().starts_with(b"W/")
    }

    /// Weak comparison (RFC 9110 section 8.8.3.2).
    #[must_use]
    pub fn weak_eq(self, other: Self) -> bool {
        self.opaque() == other.opaque()
    }

    /// Strong comparison (RFC 9110 section 8.8.3.2).
    #[must_use]
    pub fn strong_eq(self, other: Self) -> bool {
        !self.is_weak() && !other.is_weak() && self.opaque() == other.opaque()
    }

    /// The field value.
    #[must_use]
    pub const fn value(self) -> &'a HeaderValue {
        self.value
    }

    fn opaque(self) -> &'a [u8] {
        let bytes = self.value.as_bytes().trim_ascii();
        bytes.strip_prefix(b"W/").unwrap_or(bytes)
    }
}

/// The validators of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators<'a> {
    /// `ETag`
    pub etag: Option<EntityTag<'a>>,
    /// `Last-Modified`; `None` if malformed.
    pub last_modified: Option<Timestamp>,
}

impl<'a> Validators<'a> {
    /// The validators among these fields.
    #[must_use]
    pub fn of(response: &'a HeaderMap) -> Self {
        Self { etag: EntityTag::of(response), last_modified: date_field(response, &LAST_MODIFIED) }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// Whether a response can be validated.
pub(super) fn has_validator(response: &HeaderMap) -> bool {
    !Validators::of(response).is_empty()
}

/// The preconditions of a validation request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// `If-None-Match`
    pub if_none_match: Option<HeaderValue>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<HeaderValue>,
}

impl Preconditions {
    /// Preconditions that ask whether one of `stored` can still be used (RFC 9111 section 4.3.1): all their entity tags,
    /// and `Last-Modified` if there is only one. Empty if they have no validators: the request then is unconditional.
    #[must_use]
    pub fn for_stored(stored: &[&StoredResponse]) -> Self {
        let mut tags: Vec<&[u8]> = Vec::new();
        for tag in stored.iter().filter_map(|stored| stored.validators().etag) {
            let bytes = tag.value().as_bytes();
            if !tags.contains(&bytes) {
                tags.push(bytes);
            }
        }
        let single = match stored {
            [single] => single.fields().get(LAST_MODIFIED).filter(|_| single.validators().last_modified.is_some()),
            _ => None,
        };
        let list = HeaderValue::from_bytes(&tags.join(b", ".as_slice())).ok();
        Self { if_none_match: list.filter(|_| !tags.is_empty()), if_modified_since: single.cloned() }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.if_none_match.is_none() && self.if_modified_since.is_none()
    }

    /// Puts them into a request to be forwarded, in place of the client's own preconditions. Those are for the response
    /// to the client, once the stored response is known to be good.
    pub fn apply(&self, request: &mut HeaderMap) {
        const ALL: [HeaderName; 5] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE];
        for name in ALL {
            request.remove(name);
        }
        for (name, value) in [(IF_NONE_MATCH, &self.if_none_match), (IF_MODIFIED_SINCE, &self.if_modified_since)] {
            if let Some(value) = value {
                request.insert(name, value.clone());
            }
        }
    }
}

/// Indices of those among `candidates` (the stored responses the request was made of) that a 304 response with these
/// fields freshens (RFC 9111 section 4.3.4). Empty: the 304 is about none of them and must not update any; the request
/// has to be repeated without preconditions.
///
/// - A strong entity tag: all with the same strong one.
/// - A weak entity tag or `Last-Modified` only: of those that agree with all it has, the one whose `Date` is latest.
/// - No validator: the one candidate, if there is just one, for the preconditions asked about no other.
#[must_use]
pub fn freshened_by_304(response: &HeaderMap, candidates: &[&StoredResponse]) -> Vec<usize> {
    let new = Validators::of(response);
    let matching = |agrees: &dyn Fn(Validators<'_>) -> bool| -> Vec<usize> {
        let all = candidates.iter().enumerate();
        all.filter(|(_, stored)| agrees(stored.validators())).map(|(index, _)| index).collect()
    };
    if let Some(strong) = new.etag.filter(|tag| !tag.is_weak()) {
        return matching(&|old| old.etag.is_some_and(|tag| tag.strong_eq(strong)));
    }
    if new.is_empty() {
        return if candidates.len() == 1 { vec![0] } else { Vec::new() };
    }
    let agreeing = matching(&|old| {
        new.etag.is_none_or(|tag| old.etag.is_some_and(|old| old.weak_eq(tag)))
            && new
                .last_modified
                .is_none_or(|time| old.last_modified.map_or_else(|| new.etag.is_some(), |old| old == time))
    });
    let date = |index: &usize| candidates.get(*index).map(|stored| stored.date());
    agreeing.into_iter().max_by_key(date).into_iter().collect()
}

/// What the response to a forwarded HEAD request means for a stored response to GET (RFC 9111 section 4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadEffect {
    /// It describes the same representation: [`StoredResponse::freshen`] with it.
    Freshen,
    /// It describes another: the stored response is to be considered stale ([`StoredResponse::made_stale`]).
    MakeStale,
    /// It says nothing about the stored response.
    None,
}

/// What the response to a HEAD request means for `stored`, a response to GET that could have been chosen for it.
#[must_use]
pub fn head_effect(stored: &StoredResponse, status: StatusCode, response: &HeaderMap) -> HeadEffect {
    if status != StatusCode::OK || stored.metadata().status != StatusCode::OK {
        return HeadEffect::None;
    }
    let (new, old) = (Validators::of(response), stored.validators());
    let same_tag = new.etag.is_none_or(|tag| old.etag.is_some_and(|old| old.value() == tag.value()));
    let same_time = new.last_modified.is_none_or(|time| old.last_modified == Some(time));
    let length = response.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let same_length = length.is_none_or(|length| length == stored.content_length().to_string().as_bytes());
    if same_tag && same_time && same_length { HeadEffect::Freshen } else { HeadEffect::MakeStale }
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
