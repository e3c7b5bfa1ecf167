//! Range requests: RFC 9110 section 14.
//!
//! Only the unit `bytes` is known. What cannot be understood is ignored and the whole representation is sent, which section 14.2 always
//! allows; so a hostile `Range` never costs more than a request without one.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, header};

mod multipart;
#[cfg(test)]
mod tests;

pub use multipart::{Boundary, Multipart};

/// What a `Range` field asks of a representation. Ranges are half-open byte offsets, never empty, within the representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// There is nothing to obey: no range, an unknown unit, malformed, or too many. Answer with the whole representation.
    Ignore,
    /// One range: 206 with `Content-Range`.
    Single(Range<u64>),
    /// At least two ranges that neither overlap nor touch, in the order asked for: 206 with `multipart/byteranges`.
    Multiple(Vec<Range<u64>>),
    /// No range lies within the representation: 416 with [`unsatisfied_content_range`].
    Unsatisfiable,
}

/// The ranges a whole request asks for. Several `Range` field lines are malformed (the field is no list of fields), thus ignored.
///
/// The caller has checked that the method is GET (section 14.2) and that `If-Range` allows it
/// ([`super::precondition::if_range`]).
#[must_use]
pub fn of_request(request: &HeaderMap, length: u64, max_ranges: usize) -> Ranges {
    let mut lines = request.get_all(header::RANGE).iter();
    match (lines.next(), lines.next()) {
        (Some(field), None) => parse(field, length, max_ranges),
        _ => Ranges::Ignore,
    }
}

/// Reads one `Range` field value for a representation of `length` bytes.
///
/// More than `max_ranges` ranges are ignored as a whole, before anything is sorted. Ranges that overlap or touch are merged into one that
/// stands where the first of them stood (section 15.3.7.2), so a response never holds a byte twice.
#[must_use]
pub fn parse(field: &HeaderValue, length: u64, max_ranges: usize) -> Ranges {
    let Some(set) = range_set(field.as_bytes()) else { return Ranges::Ignore };
    let mut specs = 0_usize;
    let mut satisfiable = Vec::new();
    for member in set.split(|&byte| byte == b',') {
        let member = trim(member);
        if member.is_empty() {
            continue; // Section 5.6.1.2: a recipient accepts empty list elements.
        }
        specs = specs.saturating_add(1);
        if specs > max_ranges {
            return Ranges::Ignore;
        }
        match spec(member, length) {
            Spec::Malformed => return Ranges::Ignore,
            Spec::Unsatisfiable => {}
            Spec::Satisfiable(range) => satisfiable.push(range),
        }
    }
    if specs == 0 {
        return Ranges::Ignore;
    }
    let mut merged = merge(satisfiable);
    match merged.len() {
        0 => Ranges::Unsatisfiable,
        1 => merged.pop().filter(|range| !range.is_empty()).map_or(Ranges::Ignore, Ranges::Single),
        _ => Ranges::Multiple(merged),
    }
}

/// The value of `Content-Range` in a 206 or in one part of a multipart content (section 14.4).
#[must_use]
pub fn content_range(range: &Range<u64>, length: u64) -> HeaderValue {
    value(format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1)))
}

/// The value of `Content-Range` in a 416 (section 15.5.17).
#[must_use]
pub fn unsatisfied_content_range(length: u64) -> HeaderValue {
    value(format!("bytes */{length}"))
}

/// For text that this module put together from digits and fixed ASCII, which is always a legal field value.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

enum Spec {
    Malformed,
    Unsatisfiable,
    Satisfiable(Range<u64>),
}

/// What follows `bytes=`. The name of the unit is case-insensitive (section 14.1).
fn range_set(field: &[u8]) -> Option<&[u8]> {
    let (unit, set) = field.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

fn spec(member: &[u8], length: u64) -> Spec {
    let Some(dash) = member.iter().position(|&byte| byte == b'-') else { return Spec::Malformed };
    let (first, last) = member.split_at(dash);
    let last = last.get(1..).unwrap_or_default();
    match (number(first), number(last)) {
        (Number::None, Number::Some(suffix)) => match (suffix, length) {
            (0, _) => Spec::Unsatisfiable,
            // Satisfiable by section 14.1.2, yet no Content-Range can name a range of nothing: the merge ends in `Ignore`.
            (_, 0) => Spec::Satisfiable(0..0),
            _ => Spec::Satisfiable(length.saturating_sub(suffix)..length),
        },
        (Number::Some(first), Number::None) if first < length => Spec::Satisfiable(first..length),
        (Number::Some(_), Number::None) => Spec::Unsatisfiable,
        (Number::Some(first), Number::Some(last)) if first > last => Spec::Malformed,
        (Number::Some(first), Number::Some(last)) if first < length => {
            Spec::Satisfiable(first..last.saturating_add(1).min(length))
        }
        (Number::Some(_), Number::Some(_)) => Spec::Unsatisfiable,
        _ => Spec::Malformed,
    }
}

enum Number {
    None,
    Some(u64),
    Malformed,
}

/// 1*DIGIT of any length; what does not fit in 64 bits counts as the largest number, which lies beyond every representation.
fn number(text: &[u8]) -> Number {
    if text.is_empty() {
        return Number::None;
    }
    let digit = |sum: u64, byte: &u8| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(byte.wrapping_sub(b'0'))))
    };
    text.iter().try_fold(0_u64, digit).map_or(Number::Malformed, Number::Some)
}

/// Merges what overlaps or touches and keeps the order in which the client asked.
fn merge(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted: Vec<(usize, Range<u64>)> = ranges.into_iter().enumerate().collect();
    sorted.sort_by_key(|(_, range)| range.start);
    let mut merged: Vec<(usize, Range<u64>)> = Vec::with_capacity(sorted.len());
    for (place, range) in sorted {
        match merged.last_mut() {
            Some((first, last)) if range.start <= last.end => {
                last.end = last.end.max(range.end);
                *first = place.min(*first);
            }
            _ => merged.push((place, range)),
        }
    }
    merged.sort_by_key(|(place, _)| *place);
    merged.into_iter().map(|(_, range)| range).collect()
}

/// Without the optional white space (SP and HTAB) at both ends.
fn trim(text: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !space(byte)).map_or(start, |last| last.saturating_add(1));
    text.get(start..end).unwrap_or_default()
}
