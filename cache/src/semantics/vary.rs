//! Selection among stored responses by `Vary` (RFC 9111 section 4.1).

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::HeaderMap;
use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, HeaderName, ORIGIN, REFERER,
    USER_AGENT, VARY,
};

use super::member::{is_token_byte, split_list};

/// The fields a response nominated in `Vary`, with the normalised values the forwarded request had for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variance {
    star: bool,
    /// Sorted by name, each once. `None`: the request had no such field.
    nominated: Vec<(HeaderName, Option<Vec<u8>>)>,
}

impl Variance {
    /// What `response` varies on, with the values of `request`: the one that was forwarded and answered by it.
    #[must_use]
    pub fn new(response: &HeaderMap, request: &HeaderMap) -> Self {
        let Some(mut names) = nominated_names(response) else {
            return Self { star: true, nominated: Vec::new() };
        };
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        let nominated = names.into_iter().map(|name| (normalised_value(&name, request), name));
        Self { star: false, nominated: nominated.map(|(value, name)| (name, value)).collect() }
    }

    /// From the parts a store kept: what [`Variance::is_star`] and [`Variance::nominated`] said.
    #[must_use]
    pub fn from_parts(star: bool, mut nominated: Vec<(HeaderName, Option<Vec<u8>>)>) -> Self {
        nominated.sort_unstable_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        Self { star, nominated }
    }

    /// Whether the response may be selected for `request`: all nominated fields match. Never with `Vary: *`.
    #[must_use]
    pub fn matches(&self, request: &HeaderMap) -> bool {
        !self.star && self.nominated.iter().all(|(name, value)| normalised_value(name, request) == *value)
    }

    /// Whether the response varies on what no request can match: `*`, or something that is no field name.
    #[must_use]
    pub const fn is_star(&self) -> bool {
        self.star
    }

    /// Whether the response does not vary.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.star && self.nominated.is_empty()
    }

    /// The nominated fields, sorted by name, and the normalised value of each (`None`: not in the request).
    pub fn nominated(&self) -> impl Iterator<Item = (&HeaderName, Option<&[u8]>)> {
        self.nominated.iter().map(|(name, value)| (name, value.as_deref()))
    }

    /// Length-framed bytes of names and values, for the variance part of a cache key.
    #[must_use]
    pub fn suffix(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in &self.nominated {
            frame(&mut out, name, value.as_deref());
        }
        out
    }

    /// The suffix `request` would have for a response that varies on the same fields as this one. Equal to
    /// [`Variance::suffix`] exactly where [`Variance::matches`] holds.
    #[must_use]
    pub fn suffix_for(&self, request: &HeaderMap) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, _) in &self.nominated {
            frame(&mut out, name, normalised_value(name, request).as_deref());
        }
        out
    }

    /// Whether `other` varies on the same fields, whatever their values.
    #[must_use]
    pub fn same_fields(&self, other: &Self) -> bool {
        self.star == other.star && self.nominated.iter().map(|(n, _)| n).eq(other.nominated.iter().map(|(n, _)| n))
    }

    /// Bytes it occupies.
    pub(crate) fn weight(&self) -> usize {
        self.nominated.iter().map(|(name, value)| 64 + name.as_str().len() + value.as_ref().map_or(0, Vec::len)).sum()
    }
}

fn frame(out: &mut Vec<u8>, name: &HeaderName, value: Option<&[u8]>) {
    let mut put = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    put(name.as_str().as_bytes());
    put(&[u8::from(value.is_some())]);
    put(value.unwrap_or_default());
}

/// Whether the response has `*` among the members of its `Vary` lines, or a member that is no field name.
pub(super) fn has_star(response: &HeaderMap) -> bool {
    nominated_names(response).is_none()
}

/// The nominated fields of all lines; `None` for `*`. What is no field name counts as `*`: nothing is known to match it.
fn nominated_names(response: &HeaderMap) -> Option<Vec<HeaderName>> {
    let members = response.get_all(VARY).iter().flat_map(|line| split_list(line.as_bytes()));
    members.map(|member| HeaderName::from_bytes(member).ok().filter(|name| name.as_str() != "*")).collect()
}

/// The value of a request's field in the form in which it is compared: all lines combined, and differences that the
/// field's definition gives no meaning to removed.
fn normalised_value(name: &HeaderName, request: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = request.get_all(name).iter().map(|line| line.as_bytes());
    let first = lines.next()?;
    let separator: &[u8] = if *name == COOKIE { b"; " } else { b", " };
    let combined = lines.fold(Cow::Borrowed(first), |mut all, line| {
        all.to_mut().extend_from_slice(separator);
        all.to_mut().extend_from_slice(line);
        all
    });
    Some(if [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_CHARSET].contains(name) {
        preferences(name, &combined).unwrap_or_else(|| list(&combined))
    } else if is_singleton(name) {
        combined.trim_ascii().to_vec()
    } else {
        list(&combined)
    })
}

/// Fields that are no lists, in which whitespace after a comma may mean something.
fn is_singleton(name: &HeaderName) -> bool {
    [COOKIE, USER_AGENT, AUTHORIZATION, REFERER, ORIGIN].contains(name)
}

/// A list without the whitespace around its members and without empty ones.
fn list(value: &[u8]) -> Vec<u8> {
    let members: Vec<_> = split_list(value).collect();
    members.join(&b',')
}

/// A list of preferences (RFC 9110 section 12.5): lower case, without whitespace, weights in thousandths, in order of
/// descending weight, equals in alphabetical order, each once. `None` if a member does not follow the grammar.
fn preferences(name: &HeaderName, value: &[u8]) -> Option<Vec<u8>> {
    let mut members = Vec::new();
    for member in split_list(value) {
        members.push(preference(name, member)?);
    }
    members.sort_unstable_by(|(a, a_weight), (b, b_weight)| b_weight.cmp(a_weight).then_with(|| a.cmp(b)));
    members.dedup();
    // The same member with two weights: which of them counts is each origin's own guess.
    let distinct: BTreeSet<_> = members.iter().map(|(text, _)| text).collect();
    if distinct.len() < members.len() {
        return None;
    }
    let mut out = Vec::with_capacity(value.len());
    for (text, weight) in members {
        out.extend_from_slice(&text);
        out.extend_from_slice(format!(";{weight},").as_bytes());
    }
    Some(out)
}

/// One preference: its text without the weight, and the weight in thousandths.
fn preference(name: &HeaderName, member: &[u8]) -> Option<(Vec<u8>, u16)> {
    let mut text = Vec::with_capacity(member.len());
    let mut weight = 1000;
    for (index, part) in member.split(|&byte| byte == b';').enumerate() {
        let part = part.trim_ascii();
        match part.split_at_checked(2) {
            Some((q, digits)) if index > 0 && q.eq_ignore_ascii_case(b"q=") => weight = parse_weight(digits)?,
            _ if !part.iter().all(|&byte| is_token_byte(byte) || matches!(byte, b'/' | b'=')) => return None,
            _ if index == 0 => text.extend(part.to_ascii_lowercase()),
            // The values of a media type's parameters may be case sensitive.
            _ => {
                text.push(b';');
                text.extend_from_slice(part);
            }
        }
    }
    if *name == ACCEPT_ENCODING {
        // RFC 9110 section 8.4.1.3: x-gzip is equivalent to gzip, and so is x-compress to compress.
        text = text
            .strip_prefix(b"x-")
            .filter(|coding| [b"gzip".as_slice(), b"compress"].contains(coding))
            .map_or_else(|| text.clone(), <[u8]>::to_vec);
    }
    Some((text, weight))
}

/// A weight in thousandths (RFC 9110 section 12.4.2).
fn parse_weight(text: &[u8]) -> Option<u16> {
    let (&whole, fraction) = text.split_first()?;
    let fraction = match fraction.split_first() {
        None => &[],
        Some((b'.', digits)) if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        Some(_) => return None,
    };
    let thousandths = (0..3).fold(0, |sum, at| sum * 10 + fraction.get(at).map_or(0, |digit| u16::from(digit - b'0')));
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
#[path = "vary_tests.rs"]
mod tests;
