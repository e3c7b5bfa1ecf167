//! From field lines to a request (RFC 9113 section 8.3): what could be understood as another request in HTTP/1.1 is
//! malformed.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::hpack::Lines;
use crate::http::{Request, RequestBody};

/// The head of a request that is well formed, its parts where the lines have them.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    /// Nothing in a CONNECT.
    pub(super) target: &'a str,
    pub(super) authority: Option<&'a str>,
    /// When it is a number.
    pub(super) content_length: Option<u64>,
    lines: &'a Lines,
}

impl<'a> Head<'a> {
    /// `None`: malformed (RFC 9113 section 8.1.1).
    pub(super) fn read(lines: &'a Lines) -> Option<Self> {
        let (mut method, mut scheme, mut path, mut authority, mut content_length) = (None, None, None, None, None);
        let mut pseudo_fields = true;
        for (place, (name, value)) in lines.iter().enumerate() {
            let Some(pseudo) = name.strip_prefix(b":") else {
                pseudo_fields = false;
                if !is_field(name, value) {
                    return None;
                }
                if name == b"content-length" {
                    content_length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                }
                continue;
            };
            let slot = match pseudo {
                b"method" => &mut method,
                b"scheme" => &mut scheme,
                b"path" => &mut path,
                b"authority" => &mut authority,
                _ => return None,
            };
            let is_in_place = pseudo_fields && place < lines.before_cookies();
            if !is_in_place || slot.replace(std::str::from_utf8(value).ok()?).is_some() {
                return None;
            }
        }
        let method: &str = method.filter(|method: &&str| !method.is_empty() && method.bytes().all(is_token))?;
        if authority.is_some_and(|authority| !is_authority(authority)) {
            return None;
        }
        let target = if method == "CONNECT" {
            let is_whole = scheme.is_none() && path.is_none() && authority.is_some();
            is_whole.then_some("")?
        } else {
            scheme.filter(|scheme| ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)))?;
            path.filter(|path| is_target(method, path))?
        };
        Some(Self { method, target, authority, content_length, lines })
    }

    /// The lines that are none of HTTP/2's own.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let named = |(name, value)| Some((std::str::from_utf8(name).ok()?, value));
        self.lines.iter().filter_map(named).filter(|(name, _)| !name.starts_with(':'))
    }

    /// The request, without its content. `None`: more lines than can be held.
    pub(super) fn request(&self) -> Option<Request> {
        let mut fields = HeaderMap::with_capacity(16);
        for (name, value) in self.fields() {
            let name = HeaderName::from_lowercase(name.as_bytes()).ok()?;
            fields.try_append(name, HeaderValue::from_bytes(value).ok()?).ok()?;
        }
        // A differing `host` beside it is caught by admit as two Hosts.
        if let Some(authority) = self.authority {
            let authority = HeaderValue::from_str(authority).ok()?;
            if fields.get(HOST) != Some(&authority) {
                fields.try_append(HOST, authority).ok()?;
            }
        }
        Some(Request {
            method: Method::from_bytes(self.method.as_bytes()).ok()?,
            target: Bytes::copy_from_slice(self.target.as_bytes()),
            version: Version::HTTP_2,
            fields,
            body: RequestBody::Empty,
            continue_wanted: None,
        })
    }
}

/// Whether lines that came behind the content are well formed: no pseudo-fields are among them (RFC 9113 section 8.1).
pub(super) fn are_trailers(lines: &Lines) -> bool {
    lines.iter().all(|(name, value)| is_field(name, value))
}

/// RFC 9113 section 8.2.1 and 8.2.2: a name in lower case, a value on one line, and none that is of a connection.
fn is_field(name: &[u8], value: &[u8]) -> bool {
    let is_of_connection = match name {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => true,
        b"te" => !value.eq_ignore_ascii_case(b"trailers"),
        _ => false,
    };
    // All bytes are looked at, wherever the first bad one is: that is faster than to stop there.
    let is_name = name.iter().fold(!name.is_empty(), |good, byte| good & is_in_name(*byte));
    let is_value = value.iter().fold(true, |good, byte| good & ((*byte >= b' ' && *byte != 0x7f) | (*byte == b'\t')));
    let is_trimmed = ![value.first(), value.last()].iter().any(|byte| matches!(byte, Some(b' ' | b'\t')));
    !is_of_connection && is_name && is_value && is_trimmed
}

/// Of a token in lower case.
fn is_in_name(byte: u8) -> bool {
    const NAMES: [bool; 256] = bytes_that(true);
    NAMES.get(usize::from(byte)).copied().unwrap_or(false)
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    const TOKENS: [bool; 256] = bytes_that(false);
    TOKENS.get(usize::from(byte)).copied().unwrap_or(false)
}

#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn bytes_that(are_in_lower_case: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'A'..=b'Z' => !are_in_lower_case,
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => {
                true
            }
            _ => false,
        };
        byte += 1;
    }
    table
}

/// RFC 3986 section 3.2, without user information (RFC 9113 section 8.3.1).
fn is_authority(authority: &str) -> bool {
    let is_in_authority = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte);
    !authority.is_empty() && authority.bytes().all(is_in_authority)
}

/// Origin-form, or the asterisk of OPTIONS. What ends a target in HTTP/1.1 or is no part of it does not stand in it.
fn is_target(method: &str, target: &str) -> bool {
    let is_in_target = |byte: u8| byte > b' ' && byte != 0x7f && byte != b'#';
    (target.starts_with('/') || (method == "OPTIONS" && target == "*")) && target.bytes().all(is_in_target)
}
