//! Fields by what they are called.

use http::HeaderMap;

/// Removes the fields whose names are meant. A message has a dozen names: to look at each costs less than to look for all
/// that might be there.
pub fn remove_named(fields: &mut HeaderMap, is_meant: impl Fn(&str) -> bool) {
    while let Some(name) = fields.keys().find(|name| is_meant(name.as_str())).cloned() {
        fields.remove(name);
    }
}
