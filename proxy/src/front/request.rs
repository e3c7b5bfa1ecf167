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
    /// It is the last of its connection.
    pub(super) is_last: bool,
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
                    let is_close = line.value.eq_ignore_ascii_case(b"close");
                    if !is_close && !line.value.eq_ignore_ascii_case(b"keep-alive") {
                        return None;
                    }
                    seen.is_last |= is_close;
                    continue;
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
        let (path, query) = match memchr::memchr(b'?', target.as_bytes()) {
            Some(at) => (target.get(..at)?, Some(target.get(at + 1..)?)),
            None => (target, None),
        };
        if !is_plain_path(path.as_bytes())
            || query.is_some_and(|query| !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'))
        {
            return None;
        }
        let (name, port) = match memchr::memchr(b':', host) {
            Some(at) => (host.get(..at)?, Some(host.get(at + 1..)?)),
            None => (host, None),
        };
        let default: &[u8] = if scheme == "https" { b"443" } else { b"80" };
        let is_port = |port: &[u8]| {
            (1..6).contains(&port.len())
                && port.iter().all(u8::is_ascii_digit)
                && !port.starts_with(b"0")
                && port != default
        };
        if !is_plain_name(name) || port.is_some_and(|port| !is_port(port)) {
            return None;
        }
        let authority = std::str::from_utf8(host).ok()?;
        Some(Self { authority, host: authority.get(..name.len())?, path, query })
    }
}

/// What a byte is where it stands in a path or a name in comparison form.
const OTHER: u8 = 0;
const PLAIN: u8 = 1;
const DOT: u8 = 2;
const SLASH: u8 = 3;

const IN_PATH: [u8; 256] = kinds(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~");
const IN_NAME: [u8; 256] = kinds(b"abcdefghijklmnopqrstuvwxyz0123456789-");

#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn kinds(plain: &[u8]) -> [u8; 256] {
    let mut kinds = [OTHER; 256];
    let mut at = 0;
    while at < plain.len() {
        kinds[plain[at] as usize] = PLAIN;
        at += 1;
    }
    kinds[b'.' as usize] = DOT;
    kinds[b'/' as usize] = SLASH;
    kinds
}

fn kind(kinds: &[u8; 256], byte: u8) -> u8 {
    kinds.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

/// It begins with `/`. What begins with a dot may be a dot segment; several slashes are one to those who match paths.
fn is_plain_path(path: &[u8]) -> bool {
    let (mut before, mut is_good) = (OTHER, true);
    for byte in path {
        let kind = kind(&IN_PATH, *byte);
        is_good &= (kind != OTHER) & !((before == SLASH) & (kind >= DOT));
        before = kind;
    }
    is_good && path.first() == Some(&b'/')
}

/// It has something on each side of each dot.
fn is_plain_name(name: &[u8]) -> bool {
    let (mut before, mut is_good) = (DOT, true);
    for byte in name {
        let kind = kind(&IN_NAME, *byte);
        is_good &= matches!(kind, PLAIN | DOT) & !((before == DOT) & (kind == DOT));
        before = kind;
    }
    is_good && before != DOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_connection_options_the_usual_two_are_taken_alone() {
        let read = |values: &[&'static str]| {
            let line = |value: &&'static str| httparse::Header { name: "Connection", value: value.as_bytes() };
            Seen::read(&values.iter().map(line).collect::<Vec<_>>()).map(|seen| seen.is_last)
        };
        assert_eq!((read(&[]), read(&["Keep-Alive"]), read(&["Close"])), (Some(false), Some(false), Some(true)));
        assert_eq!((read(&["close", "keep-alive"]), read(&["keep-alive", "close"])), (Some(true), Some(true)));
        for other in ["", "close, te", "upgrade", "closed"] {
            assert_eq!(read(&[other]), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_not_in_comparison_form_is_for_the_long_way() {
        let read =
            |target, host: &'static str| Plain::read(target, host.as_bytes(), "http").map(|it| (it.host, it.path));
        assert_eq!(read("/a/B-_.~9?q=%20", "a.b-1:8080"), Some(("a.b-1", "/a/B-_.~9")));
        for target in
            ["", "a", "*", "/%41", "//", "/a//b", "/./a", "/a/../b", "/.a", "/a b", "/a\\b", "/\u{e4}", "/?a#b"]
        {
            assert_eq!(read(target, "a"), None, "{target:?}");
        }
        for host in
            ["", "A", ".a", "a.", "a..b", "a:", "a:80", "a:080", "a:x", "a:123456", "[::1]", "a b", "\u{e4}", ":81"]
        {
            assert_eq!(read("/", host), None, "{host:?}");
        }
    }
}
