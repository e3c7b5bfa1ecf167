//! Targeted cache control fields (RFC 9213): `CDN-Cache-Control` and whatever else the target list names.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::HeaderName;
use sfv::{BareItem, ListEntry, Parser};

use super::directives::ResponseDirectives;
use super::member::{Argument, for_each_member};

/// The fields that take the place of `Cache-Control`, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetList {
    /// Fields that are structured dictionaries, as RFC 9213 has them.
    pub structured: Vec<HeaderName>,
    /// Whether `Surrogate-Control` is honoured too, after the fields above. It is no structured field: it is read by the
    /// grammar of `Cache-Control`. Only for origins that are trusted to speak to surrogates.
    pub surrogate_control: bool,
    /// Whether `X-LiteSpeed-Cache-Control` is honoured, before all others: of sites that LSCache drives.
    pub litespeed: bool,
}

/// Name of the field only this cache listens to.
pub const FOREBAY_CACHE_CONTROL: HeaderName = HeaderName::from_static("forebay-cache-control");
/// `CDN-Cache-Control` (RFC 9213 section 3.1).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// `Surrogate-Control` (Edge Architecture Specification).
pub const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// `X-LiteSpeed-Cache-Control` (LSCache).
const X_LITESPEED_CACHE_CONTROL: HeaderName = HeaderName::from_static("x-litespeed-cache-control");

impl Default for TargetList {
    /// `Forebay-Cache-Control`, then `CDN-Cache-Control`; no `Surrogate-Control`.
    fn default() -> Self {
        Self { structured: vec![FOREBAY_CACHE_CONTROL, CDN_CACHE_CONTROL], surrogate_control: false, litespeed: false }
    }
}

impl TargetList {
    /// No targeted field is honoured.
    #[must_use]
    pub const fn none() -> Self {
        Self { structured: Vec::new(), surrogate_control: false, litespeed: false }
    }
}

/// Directives of the first field of the list with a valid, non-empty value (RFC 9213 section 2.2).
pub(super) fn select(fields: &HeaderMap, targets: &TargetList) -> Option<ResponseDirectives> {
    let litespeed = targets.litespeed.then(|| litespeed(fields)).flatten();
    let structured = || targets.structured.iter().find_map(|name| structured(fields, name));
    litespeed.or_else(structured).or_else(|| targets.surrogate_control.then(|| surrogate_control(fields))?)
}

fn structured(fields: &HeaderMap, name: &HeaderName) -> Option<ResponseDirectives> {
    let mut value = Vec::new();
    for line in fields.get_all(name) {
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.extend_from_slice(line.as_bytes());
    }
    if value.is_empty() {
        return None;
    }
    let dictionary = Parser::parse_dictionary(&value).ok().filter(|members| !members.is_empty())?;
    let mut directives = ResponseDirectives { targeted: true, ..Default::default() };
    for (name, member) in &dictionary {
        if let Some(argument) = argument(name, member) {
            directives.add(name.as_bytes(), &argument);
        }
    }
    Some(directives)
}

/// The argument a member's value stands for. `None`: the directive is off (`?0`). A value of a type the directive does
/// not have is not coerced (RFC 9213 section 2.1) but malformed, so a lifetime of the wrong type is a stale response.
fn argument<'a>(name: &str, member: &'a ListEntry) -> Option<Argument<'a>> {
    let takes_names = matches!(name, "private" | "no-cache");
    let ListEntry::Item(item) = member else { return Some(Argument::Malformed) };
    Some(match &item.bare_item {
        BareItem::Boolean(true) => Argument::Absent,
        BareItem::Boolean(false) => return None,
        BareItem::Integer(number) => Argument::Value(Cow::Owned(number.to_string().into_bytes())),
        BareItem::String(text) | BareItem::Token(text) if takes_names => {
            Argument::Value(Cow::Borrowed(text.as_bytes()))
        }
        _ => Argument::Malformed,
    })
}

/// Directives of `X-LiteSpeed-Cache-Control`: `public,max-age=604800`, `private,…`, `no-cache`. It has no validation:
/// `no-cache` is not to store. A private response, shared between requests of one visitor or not, is for nobody else.
fn litespeed(fields: &HeaderMap) -> Option<ResponseDirectives> {
    let mut directives = ResponseDirectives { targeted: true, ..Default::default() };
    let mut any = false;
    for line in fields.get_all(X_LITESPEED_CACHE_CONTROL) {
        for_each_member(line.as_bytes(), |name, argument| {
            any = true;
            match name.to_ascii_lowercase().as_slice() {
                b"no-cache" | b"no-store" => directives.no_store = true,
                b"private" | b"shared" => directives.add(b"private", &Argument::Absent),
                _ => directives.add(name, &argument),
            }
        });
    }
    any.then_some(directives)
}

/// Directives of `Surrogate-Control`; its own `max-age=fresh+stale` form is read as a lifetime and a window in which
/// the response may be served stale while it is validated.
fn surrogate_control(fields: &HeaderMap) -> Option<ResponseDirectives> {
    let mut directives = ResponseDirectives { targeted: true, ..Default::default() };
    let mut any = false;
    for line in fields.get_all(SURROGATE_CONTROL) {
        for_each_member(line.as_bytes(), |name, argument| {
            any = true;
            match split_extension(name, &argument) {
                Some((fresh, stale)) => {
                    directives.add(name, &Argument::Value(Cow::Borrowed(fresh)));
                    directives.add(b"stale-while-revalidate", &Argument::Value(Cow::Borrowed(stale)));
                }
                None => directives.add(name, &argument),
            }
        });
    }
    any.then_some(directives)
}

fn split_extension<'a>(name: &[u8], argument: &'a Argument<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let Argument::Value(value) = argument else { return None };
    let plus = value.iter().position(|&byte| byte == b'+').filter(|_| name.eq_ignore_ascii_case(b"max-age"))?;
    Some((value.get(..plus)?, value.get(plus + 1..)?))
}

#[cfg(test)]
#[path = "targeted_tests.rs"]
mod tests;
