//! Surrogate keys: the names by which an origin lets stored responses be purged together.

use http::HeaderMap;

/// Fields that carry surrogate keys; separated by spaces or commas, whichever plugin wrote them.
const FIELDS: [&str; 5] = ["surrogate-key", "cache-tag", "cache-tags", "x-cache-tags", "xkey"];

/// Bytes of a key beyond which it is not kept.
const MAX_KEY_LEN: usize = 1024;
/// Keys of one response beyond which no more are kept.
const MAX_KEYS: usize = 1024;

/// The surrogate keys of a response, sorted, each once.
#[must_use]
pub fn surrogate_keys(fields: &HeaderMap) -> Vec<Box<str>> {
    let lines = FIELDS.iter().flat_map(|name| fields.get_all(*name));
    let words = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split([' ', '\t', ',']));
    let mut keys: Vec<Box<str>> =
        words.filter(|key| !key.is_empty() && key.len() <= MAX_KEY_LEN).take(MAX_KEYS).map(Box::from).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields;
    use super::*;

    #[test]
    fn all_spellings_of_all_plugins_are_read() {
        let fields =
            fields(&[("Surrogate-Key", "front  post-43"), ("X-Cache-Tags", "p-12,t-3 , home"), ("xkey", "front")]);
        assert_eq!(surrogate_keys(&fields).join(" "), "front home p-12 post-43 t-3");
    }

    #[test]
    fn a_flood_of_keys_is_capped() {
        let many: Vec<String> = (0..5000).map(|i| format!("k{i}")).collect();
        let long = "x".repeat(MAX_KEY_LEN + 1);
        let fields = fields(&[("Cache-Tag", &many.join(",")), ("xkey", &long)]);
        assert_eq!(surrogate_keys(&fields).len(), MAX_KEYS);
    }
}
