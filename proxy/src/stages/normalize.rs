//! Normalize: the one comparison form of host, path and query that routing, key and offload all use. Forms that two
//! readers could understand differently are refused rather than repaired.

use http::StatusCode;

use super::admit::Form;
use crate::http::Refusal;

/// What a request is for, in comparison form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scheme: &'static str,
    /// Host and, where it is not the scheme's default, port. Lower case, no trailing dot.
    pub(crate) authority: String,
    /// Length of the host within `authority`.
    host_length: usize,
    /// Percent-encoded path: unreserved characters decoded, all other encodings in upper case, no dot segments.
    pub(crate) path: String,
    /// Query as it came.
    pub(crate) query: Option<String>,
    /// Path and query as they came, for requests that are passed on untouched.
    pub(crate) raw: String,
}

impl Target {
    /// The host alone.
    pub(crate) fn host(&self) -> &str {
        self.authority.get(..self.host_length).unwrap_or(&self.authority)
    }

    /// Absolute URI in comparison form.
    pub(crate) fn url(&self) -> String {
        let Self { scheme, authority, path, .. } = self;
        match &self.query {
            Some(query) => format!("{scheme}://{authority}{path}?{query}"),
            None => format!("{scheme}://{authority}{path}"),
        }
    }
}

/// The comparison form of `form`, which came by `scheme`.
///
/// # Errors
///
/// 400 for what is ambiguous or not a URI.
pub(crate) fn normalize(form: &Form<'_>, scheme: &'static str) -> Result<Target, Refusal> {
    let (authority, path_query): (&[u8], &[u8]) = match form {
        Form::Origin { authority: Some(b""), .. } => return Err(Refusal::bad("host")),
        Form::Origin { authority, path_query } => (authority.unwrap_or_default(), path_query),
        // The scheme a client writes is its own opinion; the connection says how it came.
        Form::Absolute { authority, path_query, .. } => (authority, path_query),
        Form::Asterisk => return Err(Refusal::new(StatusCode::BAD_REQUEST, "asterisk-form")),
    };
    let (authority, host_length) = self::authority(authority, scheme)?;
    let text = printable(path_query)?;
    let (raw_path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (text, None),
    };
    let path = if raw_path.is_empty() { "/".to_owned() } else { self::path(raw_path)? };
    let raw = if raw_path.is_empty() { format!("/{text}") } else { text.to_owned() };
    Ok(Target { scheme, authority, host_length, path, query, raw })
}

/// Visible ASCII and nothing else; no fragment (RFC 9112 section 3.2).
fn printable(bytes: &[u8]) -> Result<&str, Refusal> {
    if bytes.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        return Err(Refusal::bad("target-characters"));
    }
    std::str::from_utf8(bytes).map_err(|_| Refusal::bad("target-characters"))
}

/// RFC 3986 section 3.2.2 without user information: a registered name or a bracketed IPv6 address, and a port.
fn authority(bytes: &[u8], scheme: &str) -> Result<(String, usize), Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::bad("host"))?;
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(Refusal::bad("host"))?;
        address.parse::<std::net::Ipv6Addr>().map_err(|_| Refusal::bad("host"))?;
        (text.get(..address.len() + 2).unwrap_or_default(), port(rest)?)
    } else {
        let at = text.find(':').unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(at).ok_or(Refusal::bad("host"))?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')) {
            return Err(Refusal::bad("host"));
        }
        (name.strip_suffix('.').unwrap_or(name), port(rest)?)
    };
    if host.is_empty() && !bytes.is_empty()
        || host.starts_with('.')
        || host.as_bytes().windows(2).any(|pair| pair == b"..")
    {
        return Err(Refusal::bad("host"));
    }
    let mut normal = host.to_ascii_lowercase();
    let default = if scheme == "https" { 443 } else { 80 };
    if let Some(port) = port.filter(|port| *port != default) {
        normal.push(':');
        normal.push_str(itoa::Buffer::new().format(port));
    }
    Ok((normal, host.len()))
}

fn port(text: &str) -> Result<Option<u16>, Refusal> {
    let Some(digits) = text.strip_prefix(':') else {
        return if text.is_empty() { Ok(None) } else { Err(Refusal::bad("host")) };
    };
    if digits.is_empty() {
        return Ok(None);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::bad("host"));
    }
    digits.parse().map(Some).map_err(|_| Refusal::bad("host"))
}

/// RFC 3986 section 6.2.2, and refusals where it would take a guess.
fn path(raw: &str) -> Result<String, Refusal> {
    let mut before = b'/';
    let is_normal = raw.bytes().all(|byte| {
        let begins_segment = std::mem::replace(&mut before, byte) == b'/';
        !(matches!(byte, b'%' | b'\\') || begins_segment && byte == b'.')
    });
    if is_normal {
        return Ok(raw.to_owned());
    }
    let mut normal = String::with_capacity(raw.len());
    let mut decoded_before = None;
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            return Err(Refusal::bad("backslash"));
        }
        if byte != b'%' {
            normal.push(char::from(byte));
            decoded_before = None;
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next().and_then(hex), bytes.next().and_then(hex)) else {
            return Err(Refusal::bad("percent-encoding"));
        };
        let decoded = high << 4 | low;
        match decoded {
            0..0x20 | 0x7f => return Err(Refusal::bad("encoded-control-character")),
            b'\\' => return Err(Refusal::bad("backslash")),
            // An overlong form of ASCII, which a lax decoder downstream would take for the real thing.
            0x80..0xc0 if matches!(decoded_before, Some(0xc0 | 0xc1)) => return Err(Refusal::bad("overlong-utf-8")),
            _ if decoded.is_ascii_alphanumeric() || matches!(decoded, b'-' | b'.' | b'_' | b'~') => {
                normal.push(char::from(decoded));
            }
            _ => {
                normal.push('%');
                for digit in [high, low] {
                    normal.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
                }
            }
        }
        decoded_before = Some(decoded);
    }
    // Clients resolve dot segments before they send; those that arrive were meant to be read by something else.
    // Who decodes %2F before resolving them sees them there too.
    for segment in normal.split('/').flat_map(|segment| segment.split("%2F")) {
        let name = segment.split(';').next().unwrap_or_default();
        if matches!(name, "." | "..") {
            return Err(Refusal::bad("dot-segment"));
        }
    }
    Ok(normal)
}

/// Whether a path that was made from one in comparison form has one reading.
pub(crate) fn is_unambiguous(path: &str) -> bool {
    self::path(path).is_ok_and(|normal| normal == path)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(authority: &str, path: &str) -> Result<Target, &'static str> {
        let form = Form::Origin { authority: Some(authority.as_bytes()), path_query: path.as_bytes() };
        normalize(&form, "http").map_err(|refusal| refusal.reason)
    }

    #[test]
    fn hosts_have_one_form() {
        for (host, normal) in [
            ("A.TEST", "a.test"),
            ("a.test.", "a.test"),
            ("a.test:80", "a.test"),
            ("a.test:", "a.test"),
            ("a.test:8080", "a.test:8080"),
            ("[::1]:81", "[::1]:81"),
        ] {
            assert_eq!(target(host, "/").unwrap().authority, normal);
        }
        assert_eq!(target("[::1]:81", "/").unwrap().host(), "[::1]");
        for bad in ["a, b", "a/evil", "a b", "u@a", "a:b", "a:99999", "[::1", "[x]", ".", "a..b", "a\\b", "ä"] {
            assert!(target(bad, "/").is_err(), "{bad}");
        }
    }

    #[test]
    fn rfc3986_6_2_2_paths_have_one_form() {
        for (path, normal) in [
            ("/%7Euser", "/~user"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%2fb", "/a%2Fb"),
            ("/%41%2e%62", "/A.b"),
            ("//a//b", "//a//b"),
            ("/a;b=c", "/a;b=c"),
            ("/%e9", "/%E9"),
        ] {
            assert_eq!(target("x", path).unwrap().path, normal);
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for bad in [
            "/../etc/passwd",
            "/%2e%2e/x",
            "/a/%2E./b",
            "/a/..;/b",
            "/static/..%2faccount",
            "/account%2f..%2fstatic/x.js",
            "/a%2F%2e%2e",
            "/a/.",
            "/..%5cx",
            "/a\\b",
            "/%00",
            "/%0a",
            "/%7f",
            "/%c0%ae%c0%ae/",
            "/%",
            "/%g1",
            "/a#b",
            "/a b",
            "/\u{ff}",
        ] {
            assert!(target("x", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_passed_on_is_what_came() {
        let target = target("x", "/%7Ea?b=%2e&c").unwrap();
        assert_eq!((target.raw.as_str(), target.query.as_deref()), ("/%7Ea?b=%2e&c", Some("b=%2e&c")));
        assert_eq!(target.url(), "http://x/~a?b=%2e&c");
    }
}
