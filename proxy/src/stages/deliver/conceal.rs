//! Conceal: fields an upstream writes for its cache are not for visitors.

use forebay_cache::semantics::surrogate_key::strip_surrogate_keys;
use http::{HeaderMap, HeaderName};

/// What drives a cache, beside tags.
static FIELDS: [HeaderName; 4] = [
    HeaderName::from_static("x-litespeed-cache-control"),
    HeaderName::from_static("x-litespeed-purge"),
    HeaderName::from_static("x-litespeed-purge2"),
    HeaderName::from_static("x-litespeed-vary"),
];

/// Takes them out of an answer, unless its site shows them.
pub(crate) fn conceal(shows_tags: bool, fields: &mut HeaderMap) {
    if shows_tags {
        return;
    }
    strip_surrogate_keys(fields);
    for name in &FIELDS {
        fields.remove(name);
    }
}
