//! Partial responses: what a 206 holds, and when two of them are parts of one representation (RFC 9111 sections 3.3 and
//! 3.4, RFC 9110 section 15.3.7.3).

use http::HeaderValue;

use super::validation::Validators;
use crate::stored::StoredResponse;

/// `Content-Range` of a 206 with a single part (RFC 9110 section 14.4), the complete length known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
    /// Length of the whole representation.
    pub complete: u64,
}

impl ContentRange {
    /// Parses `bytes first-last/complete`. `None` for other units, an unknown complete length, and a range that is invalid:
    /// last before first, or not within the whole.
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let (unit, rest) = value.to_str().ok()?.trim().split_once(' ')?;
        let (range, complete) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last, complete) = (number(first)?, number(last)?, number(complete)?);
        let valid = unit.eq_ignore_ascii_case("bytes") && first <= last && last < complete;
        valid.then_some(Self { first, last, complete })
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether both responses have the same strong validator, so that bytes of one fit those of the other: equal strong
/// entity tags or, where neither has any, an equal `Last-Modified` that both their `Date`s make strong (RFC 9110 section
/// 8.8.2.2).
#[must_use]
pub fn same_strong_validator(one: &StoredResponse, other: &StoredResponse) -> bool {
    let (a, b) = (one.validators(), other.validators());
    match (a.etag, b.etag) {
        (Some(a), Some(b)) => a.strong_eq(b),
        (None, None) => {
            let strong = |response: &StoredResponse, of: Validators<'_>| {
                of.last_modified.filter(|modified| modified.secs() < response.date().secs())
            };
            strong(one, a).is_some_and(|modified| Some(modified) == strong(other, b))
        }
        _ => false,
    }
}

/// The validator for `If-Range`: one that compares strongly. `None` if the response has none.
#[must_use]
pub fn if_range_value(response: &StoredResponse) -> Option<HeaderValue> {
    let validators = response.validators();
    match validators.etag {
        Some(tag) => (!tag.is_weak()).then(|| tag.value().clone()),
        None => {
            let modified = validators.last_modified.filter(|modified| modified.secs() < response.date().secs())?;
            HeaderValue::try_from(modified.http_date()).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, date};
    use super::*;

    fn parsed(text: &str) -> Option<(u64, u64, u64)> {
        let range = ContentRange::parse(&HeaderValue::from_str(text).unwrap())?;
        Some((range.first, range.last, range.complete))
    }

    #[test]
    fn rfc9110_14_4_a_content_range_says_first_last_and_complete_length() {
        assert_eq!(parsed("bytes 0-0/1"), Some((0, 0, 1)));
        assert_eq!(parsed("Bytes 42-1233/1234"), Some((42, 1233, 1234)));
    }

    #[test]
    fn rfc9110_14_4_invalid_and_unknown_content_ranges_are_not_used() {
        for text in [
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes 0-4/*",
            "bytes */10",
            "items 0-4/10",
            "bytes 0-4",
            "bytes +0-4/9",
            "",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    fn stored(lines: &[(&str, &str)]) -> StoredResponse {
        Case::response(lines).stored()
    }

    #[test]
    fn rfc9110_15_3_7_3_parts_fit_by_a_strong_validator_alone() {
        let tag = |tag| stored(&[("ETag", tag)]);
        assert!(same_strong_validator(&tag("\"a\""), &tag("\"a\"")));
        assert!(!same_strong_validator(&tag("\"a\""), &tag("\"b\"")));
        assert!(!same_strong_validator(&tag("W/\"a\""), &tag("W/\"a\"")));
        assert!(!same_strong_validator(&stored(&[]), &stored(&[])));
        let modified = |ago: i64| stored(&[("Last-Modified", &date(-ago)), ("Date", &date(0))]);
        assert!(same_strong_validator(&modified(60), &modified(60)));
        assert!(!same_strong_validator(&modified(60), &modified(61)));
        assert!(!same_strong_validator(&modified(0), &modified(0)), "modified in the second of the response");
        assert!(!same_strong_validator(&modified(60), &tag("\"a\"")));
    }

    #[test]
    fn rfc9110_13_1_5_if_range_gets_no_weak_validator() {
        let of = |lines: &[(&str, &str)]| if_range_value(&stored(lines));
        assert_eq!(of(&[("ETag", "\"a\"")]).unwrap(), "\"a\"");
        assert_eq!(of(&[("ETag", "W/\"a\""), ("Last-Modified", &date(-60)), ("Date", &date(0))]), None);
        assert_eq!(of(&[("Last-Modified", &date(-60)), ("Date", &date(0))]).unwrap(), date(-60).as_str());
        assert_eq!(of(&[("Last-Modified", &date(0)), ("Date", &date(0))]), None);
    }
}
