//! Hosts of a site: `www.example.com`, `*.example.com`, `*`.

use std::net::Ipv6Addr;

use super::address::is_host_name;
use super::{Wrong, quoted};
use crate::model::HostPattern;

/// Parses a host pattern into its comparison form: lower case, without trailing dot.
pub(crate) fn parse(text: &str) -> Result<HostPattern, Wrong> {
    let wrong = |message: &str, hint: String| Err(Wrong::new(format!("{} {message}", quoted(text)), hint));
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Ok(HostPattern::Any);
    }
    if matches!(lower.as_str(), "_" | "default") {
        return wrong("is not a host", "write \"*\" for any host".to_owned());
    }
    if !text.is_ascii() {
        return wrong("is not ASCII", "write an internationalised name in its A-label form: \"xn--…\"".to_owned());
    }
    if let Some(rest) = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://")) {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return wrong("is a URL, not a host", format!("write {}", quoted(host)));
    }
    if let Some(address) = lower.strip_prefix('[') {
        return match address.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok()) {
            Some(address) => Ok(HostPattern::Exact(format!("[{address}]"))),
            None => wrong("is not an IPv6 address in brackets", "write \"[2001:db8::1]\", without port".to_owned()),
        };
    }
    if let Some((host, _)) = lower.split_once(':') {
        return wrong("has a port", format!("write {}: a site is served on every listener", quoted(host)));
    }
    let plain = lower.strip_suffix('.').unwrap_or(&lower);
    let (name, wildcard) = match plain.strip_prefix("*.") {
        Some(rest) => (rest, true),
        None => (plain, false),
    };
    if name.contains('*') {
        return wrong("has a * within", "a * stands alone or for all names beneath: \"*.example.com\"".to_owned());
    }
    if !is_host_name(name) {
        return wrong("is not a host name", "write letters, digits, hyphens and dots: \"www.example.com\"".to_owned());
    }
    let name = name.to_owned();
    Ok(if wildcard { HostPattern::Wildcard(name) } else { HostPattern::Exact(name) })
}

/// A host pattern as it is written in a file.
pub(crate) fn show(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(name) => format!("*.{name}"),
        HostPattern::Any => "*".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_in_lower_case_and_without_trailing_dot() {
        assert_eq!(parse("WWW.Example.COM."), Ok(HostPattern::Exact("www.example.com".into())));
        assert_eq!(parse("*.Example.com"), Ok(HostPattern::Wildcard("example.com".into())));
        assert_eq!(parse("*"), Ok(HostPattern::Any));
        assert_eq!(parse("[2001:DB8::0001]"), Ok(HostPattern::Exact("[2001:db8::1]".into())));
    }

    #[test]
    fn what_could_never_match_a_host_field_is_refused() {
        for text in [
            "",
            ".",
            "*.",
            "a..b",
            "a b",
            "-a.com",
            "*a.com",
            "www.*",
            "*.*.com",
            "a:80",
            "[::1]:80",
            "müller.de",
            "_",
            "a/b",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&"a".repeat(64)).is_err());
        assert!(parse(&"a.".repeat(200)).is_err());
    }

    #[test]
    fn the_hint_is_what_was_meant() {
        let hint = |text: &str| parse(text).unwrap_err().hint.unwrap();
        assert_eq!(hint("https://a.com/x"), "write \"a.com\"");
        assert_eq!(hint("_"), "write \"*\" for any host");
        assert!(hint("a.com:443").starts_with("write \"a.com\""));
    }

    #[test]
    fn what_is_shown_parses_to_the_same() {
        for text in ["*", "*.example.com", "www.example.com", "[::1]"] {
            assert_eq!(show(&parse(text).unwrap()), text);
        }
    }
}
