//! What the front asks of a request's head. Whatever is unusual in it is for the long way.

/// What the field lines say, of those that matter.
#[derive(Default)]
pub(super) struct Seen<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) cookie: Option<&'a [u8]>,
    pub(super) accept_encoding: Option<&'a [u8]>,
    pub(super) referer: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
    pub(super) if_none_match: Option<&'a [u8]>,
    pub(super) if_modified_since: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    /// `None` when there is a field that makes a difference, or one twice that must not be.
    pub(super) fn read(lines: &[httparse::Header<'a>]) -> Option<Self> {
        let mut seen = Self::default();
        for line in lines {
            let name = line.name.as_bytes();
            let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
            let slot = match name.first()?.to_ascii_lowercase() {
                b'h' if is("host") => &mut seen.host,
                b'c' if is("cookie") => &mut seen.cookie,
                b'c' if is("connection") => {
                    if line.value.eq_ignore_ascii_case(b"keep-alive") {
                        continue;
                    } else {
                        return None;
                    }
                }
                b'c' if is("cache-control") || is("content-length") => return None,
                b'a' if is("accept-encoding") => &mut seen.accept_encoding,
                b'a' if is("authorization") => return None,
                b'r' if is("referer") => &mut seen.referer,
                b'r' if is("range") => return None,
                b'u' if is("user-agent") => &mut seen.user_agent,
                b'u' if is("upgrade") => return None,
                b'e' if is("expect") => return None,
                b'i' if is("if-none-match") => &mut seen.if_none_match,
                b'i' if is("if-modified-since") => &mut seen.if_modified_since,
                b'i' if is_condition(name) => return None,
                b'p' if is("pragma") => return None,
                b't' if is("transfer-encoding") || is("te") || is("trailer") => return None,
                b'v' if is("via") => return None,
                _ => continue,
            };
            if slot.replace(line.value).is_some() {
                return None;
            }
        }
        Some(seen)
    }
}

fn is_condition(name: &[u8]) -> bool {
    name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"if-"))
}

/// A target that is in comparison form as it came.
pub(super) struct Plain<'a> {
    pub(super) authority: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> Plain<'a> {
    pub(super) fn read(target: &'a str, host: &'a [u8], scheme: &str) -> Option<Self> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~');
        let mut before = 0;
        for byte in path.bytes() {
            // What begins with a dot may be a dot segment; several slashes are one to those who match paths.
            if !plain(byte) || (matches!(byte, b'.' | b'/') && before == b'/') {
                return None;
            }
            before = byte;
        }
        if !path.starts_with('/')
            || query.is_some_and(|query| !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'))
        {
            return None;
        }
        let authority = std::str::from_utf8(host).ok()?;
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        };
        let default = if scheme == "https" { "443" } else { "80" };
        let is_port = |port: &str| {
            port.len() < 6
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && !port.starts_with('0')
                && port != default
        };
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let sound = !name.is_empty() && name.bytes().all(is_name) && !name.starts_with('.') && !name.ends_with('.');
        if !sound || name.contains("..") || port.is_some_and(|port| port.is_empty() || !is_port(port)) {
            return None;
        }
        Some(Self { authority, host: name, path, query })
    }
}
