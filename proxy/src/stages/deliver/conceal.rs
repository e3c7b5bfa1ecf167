//! Conceal: fields an upstream writes for its cache are not for visitors.

use forebay_cache::semantics::remove_named;
use forebay_cache::semantics::surrogate_key::strip_surrogate_keys;
use http::HeaderMap;

/// What drives a cache, beside tags.
const FIELDS: [&str; 4] = ["x-litespeed-cache-control", "x-litespeed-purge", "x-litespeed-purge2", "x-litespeed-vary"];

/// Takes them out of an answer, unless its site shows them.
pub(crate) fn conceal(shows_tags: bool, fields: &mut HeaderMap) {
    if shows_tags {
        return;
    }
    strip_surrogate_keys(fields);
    remove_named(fields, |name| FIELDS.contains(&name));
}
