//! Templates of paths and locations: text with `{placeholders}`.

use super::{Wrong, quoted};

/// What may stand in braces.
pub(crate) const PLACEHOLDERS: [&str; 5] = ["scheme", "host", "path", "query", "uri"];

/// What the upstream sees: begins with `/` or `{path}`.
pub(crate) fn path(text: &str) -> Result<String, Wrong> {
    check(text)?;
    if text.starts_with('/') || text.starts_with("{path}") {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} does not begin with /", quoted(text)), "write a path: \"/v2{path}\""))
}

/// Where a redirect leads: a path, or an absolute http or https URL.
pub(crate) fn location(text: &str) -> Result<String, Wrong> {
    check(text)?;
    let begins = ["/", "{path}", "{uri}", "http://", "https://", "{scheme}://"];
    let rooted = begins.iter().any(|begin| text.starts_with(begin)) && !text.starts_with("//");
    let host_is_ours = text.split_once("://").is_none_or(|(_, rest)| has_authority(rest));
    if rooted && host_is_ours {
        return Ok(text.to_owned());
    }
    let hint = "write a path or a URL: \"/new{path}\", \"https://{host}{uri}\"";
    Err(Wrong::new(format!("{} is not a location", quoted(text)), hint))
}

/// A host that is written out or the request's, with nothing of the request's path behind it that could make it another.
fn has_authority(text: &str) -> bool {
    let mut rest = text;
    loop {
        let next = rest.strip_prefix("{host}");
        let literal = || rest.strip_prefix(|c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c));
        match next.or_else(literal) {
            Some(after) => rest = after,
            None => break,
        }
    }
    let ends = ["/", "?", "{path}", "{uri}"];
    rest.len() < text.len() && (rest.is_empty() || ends.iter().any(|end| rest.starts_with(end)))
}

fn check(text: &str) -> Result<(), Wrong> {
    if let Some(byte) = text.bytes().find(|byte| !byte.is_ascii_graphic() || b"#\\".contains(byte)) {
        let hint = format!("{:?} cannot stand in it", char::from(byte));
        return Err(Wrong::new(format!("{} is not a template", quoted(text)), hint));
    }
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let inner = rest
            .get(at + 1..)
            .and_then(|inner| inner.split_once('}'))
            .filter(|_| rest.as_bytes().get(at) == Some(&b'{'));
        let Some((name, after)) = inner else {
            return Err(Wrong::new(format!("{} has a brace without its twin", quoted(text)), "write {path}"));
        };
        let capture = name.len() == 1 && name.bytes().all(|byte| (b'1'..=b'9').contains(&byte));
        if !capture && !PLACEHOLDERS.contains(&name) {
            let hint = "known: {scheme}, {host}, {path}, {query}, {uri}, and {1} to {9} of the route's regex";
            return Err(Wrong::new(format!("{} is not a placeholder", quoted(&format!("{{{name}}}"))), hint));
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_known_placeholders_alone() {
        assert!(path("/v2{path}").is_ok() && path("{path}").is_ok() && path("/index.php?id={1}").is_ok());
        for text in
            ["", "v2{path}", "{uri}", "/{", "/}", "/{x}", "/{0}", "/{12}", "/a b", "/a#b", "/\u{e9}", "http://x/"]
        {
            assert!(path(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_location_is_a_path_or_a_url_and_never_somebody_elses_host() {
        for text in ["/new{path}", "https://{host}{uri}", "{scheme}://www.example.com{path}", "{uri}"] {
            assert!(location(text).is_ok(), "{text:?}");
        }
        for text in [
            "//evil.example/",
            "ftp://x/",
            "javascript:alert(1)",
            "www.example.com",
            "{host}/x",
            "{1}",
            "https://{1}/",
            "https://{host}{1}",
            "https://{uri}",
            "https:///x",
            "https://u@{host}/",
        ] {
            assert!(location(text).is_err(), "{text:?}");
        }
    }
}
