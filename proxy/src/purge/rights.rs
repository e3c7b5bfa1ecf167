//! Who may purge.

use std::net::IpAddr;

use forebay_config::model::SitePurge;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::dialect::field;

/// Whether a request from `client` with these fields may purge its site.
pub(crate) fn may_purge(words: &SitePurge, client: IpAddr, fields: &HeaderMap) -> bool {
    words.allow.iter().any(|net| net.contains(&client))
        || words.key.as_ref().is_some_and(|key| field(fields, &key.header).is_some_and(|said| same(said, &key.value)))
        || words.token.as_ref().is_some_and(|token| carries(fields, token))
}

/// Whether the fields carry `token`: as a bearer token, or as Fastly's clients do.
pub(crate) fn carries(fields: &HeaderMap, token: &str) -> bool {
    let bearer = fields.get(AUTHORIZATION).and_then(|value| {
        let (scheme, said) = value.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| said.trim())
    });
    bearer.is_some_and(|said| same(said, token)) || field(fields, "fastly-key").is_some_and(|said| same(said, token))
}

/// Compares all bytes, whatever the first ones are: how long it takes tells nothing about them.
fn same(said: &str, secret: &str) -> bool {
    let differences = said.bytes().zip(secret.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    said.len() == secret.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use forebay_config::model::{NotCached, PurgeKey, PurgeMode, PurgeSlash};

    use super::*;

    fn may(client: &str, lines: &[(&'static str, &str)]) -> bool {
        let words = SitePurge {
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            key: Some(PurgeKey { header: "x-control-key".to_owned(), value: "turns-the-wheel".to_owned() }),
            token: Some("0123456789abcdef".to_owned()),
            slash: PurgeSlash::Page,
            mode: PurgeMode::Hard,
            not_cached: NotCached::Ok,
            get_path: None,
        };
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, value.parse().unwrap());
        }
        may_purge(&words, client.parse().unwrap(), &fields)
    }

    #[test]
    fn an_address_a_key_or_a_token_gives_the_right() {
        assert!(may("10.1.2.3", &[]));
        assert!(may("192.0.2.1", &[("x-control-key", "turns-the-wheel")]));
        assert!(may("192.0.2.1", &[("authorization", "bearer 0123456789abcdef")]));
        assert!(may("192.0.2.1", &[("authorization", "Bearer  0123456789abcdef")]));
    }

    #[test]
    fn nothing_else_does() {
        assert!(!may("192.0.2.1", &[]));
        for lines in [
            ("x-control-key", "turns-the-whee"),
            ("x-control-key", "turns-the-wheel2"),
            ("x-control-key", ""),
            ("authorization", "Basic 0123456789abcdef"),
            ("authorization", "0123456789abcdef"),
            ("authorization", "bearer turns-the-wheel"),
            ("x-forwarded-for", "10.1.2.3"),
        ] {
            assert!(!may("192.0.2.1", &[lines]), "{lines:?}");
        }
    }
}
