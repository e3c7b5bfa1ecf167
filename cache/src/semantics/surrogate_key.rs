//! Surrogate keys, or tags: the names by which an origin lets stored responses be purged together.

use http::HeaderMap;
use http::header::HeaderName;

use super::remove_named;

/// Fields that carry surrogate keys; separated by spaces or commas, whichever plugin wrote them.
static FIELDS: [HeaderName; 6] = [
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("cache-tags"),
    HeaderName::from_static("x-cache-tags"),
    HeaderName::from_static("xkey"),
    HeaderName::from_static("x-litespeed-tag"),
];

/// Bytes of a key beyond which it is not kept.
const MAX_KEY_LEN: usize = 1024;
/// Keys of one response, and bytes of all of them, beyond which no more are kept.
const MAX_KEYS: usize = 1024;
const MAX_BYTES: usize = 32 << 10;

/// Stands for the keys that were not kept: a response that has it is purged by any key of its host. An origin may send it
/// as well.
pub const ALL_TAGS: &str = "*";

/// The surrogate keys of a response, sorted, each once. [`ALL_TAGS`] is among them when there are too many, or too long ones.
#[must_use]
pub fn surrogate_keys(fields: &HeaderMap) -> Vec<Box<str>> {
    let lines = FIELDS.iter().flat_map(|name| fields.get_all(name));
    let mut keys: Vec<Box<str>> = Vec::new();
    let (mut bytes, mut all) = (0, true);
    for line in lines {
        // What is no text names no key that anybody could purge by.
        for key in line.as_bytes().split(|byte| matches!(byte, b' ' | b'\t' | b',')).filter(|key| !key.is_empty()) {
            let Ok(key) = std::str::from_utf8(key) else { continue };
            let key = key.strip_prefix("public:").unwrap_or(key);
            bytes += key.len();
            if key.len() > MAX_KEY_LEN || keys.len() >= MAX_KEYS || bytes > MAX_BYTES {
                all = false;
                break;
            }
            keys.push(key.into());
        }
    }
    if !all {
        keys.push(ALL_TAGS.into());
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Whether one of the fields is there.
#[must_use]
pub fn has_surrogate_keys(fields: &HeaderMap) -> bool {
    FIELDS.iter().any(|name| fields.contains_key(name))
}

/// Removes the fields.
pub fn strip_surrogate_keys(fields: &mut HeaderMap) {
    remove_named(fields, |name| FIELDS.iter().any(|field| field.as_str() == name));
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields;
    use super::*;

    #[test]
    fn all_spellings_of_all_plugins_are_read() {
        let fields = fields(&[
            ("Surrogate-Key", "front  post-43"),
            ("X-Cache-Tags", "p-12,t-3 , home"),
            ("xkey", "front"),
            ("X-LiteSpeed-Tag", "a1b_Po.12,public:a1b_F"),
        ]);
        assert_eq!(surrogate_keys(&fields).join(" "), "a1b_F a1b_Po.12 front home p-12 post-43 t-3");
    }

    #[test]
    fn what_a_flood_of_keys_leaves_out_is_purged_by_any() {
        let many: Vec<String> = (0..20_000).map(|i| format!("k{i}")).collect();
        let keys = surrogate_keys(&fields(&[("Cache-Tag", &many.join(","))]));
        assert_eq!(keys.len(), MAX_KEYS + 1);
        assert!(keys.iter().any(|key| **key == *ALL_TAGS));
        let long = surrogate_keys(&fields(&[("xkey", &"x".repeat(MAX_KEY_LEN + 1))]));
        assert_eq!(long.join(" "), ALL_TAGS);
        let heavy = surrogate_keys(&fields(&[("xkey", &format!("{0} {0}a {0}b", "x".repeat(1000)).repeat(20))]));
        assert!(heavy.iter().any(|key| **key == *ALL_TAGS));
        assert!(!surrogate_keys(&fields(&[("xkey", "a b")])).iter().any(|key| **key == *ALL_TAGS));
    }
}
