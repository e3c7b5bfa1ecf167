//! The request head, strictly: what two readers could understand differently is refused.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use forebay_config::model::Limits;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use memchr::memmem::Finder;

use crate::http::Refusal;

/// A parsed request head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) target: Bytes,
    pub(super) version: Version,
    pub(super) fields: HeaderMap,
}

/// Takes a head off the front of `buffer`; `None` while it is incomplete.
///
/// # Errors
///
/// 400 for what RFC 9112 does not allow, 414 and 431 for what is too large, 505 for another major version. The
/// connection cannot be used after any of them.
pub(super) fn head(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Head>, Refusal> {
    skip_empty_lines(buffer);
    let Some(end) = find_end(buffer) else {
        return if has_bare_line_end(buffer) { Err(BARE_LINE_END) } else { too_long(buffer, limits) };
    };
    if end > limits.head_size {
        return Err(oversize(buffer, limits));
    }
    let raw = buffer.split_to(end).freeze();
    match parse(&raw, limits) {
        Ok(head) => Ok(Some(head)),
        Err(_) if has_bare_line_end(&raw) => Err(BARE_LINE_END),
        Err(refusal) => Err(refusal),
    }
}

const BARE_LINE_END: Refusal = Refusal::bad("bare-line-end");

/// Whether a parsed head of so many `lines` ends each of them by CRLF. The parser takes a bare LF too, but a CR nowhere else
/// than before one (RFC 9112 section 2.2).
pub(crate) fn ends_lines(head: &[u8], lines: usize) -> bool {
    [b'\r', b'\n'].iter().all(|end| memchr::memchr_iter(*end, head).count() == lines)
}

/// RFC 9112 section 2.2: empty lines before the request line are ignored.
fn skip_empty_lines(buffer: &mut BytesMut) {
    while buffer.starts_with(b"\r\n") {
        let _ = buffer.split_to(2);
    }
}

/// Index behind the empty line that ends the head.
fn find_end(buffer: &[u8]) -> Option<usize> {
    static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
    END.find(buffer).map(|at| at + 4)
}

/// A LF without CR before it, or a CR without LF behind it (but for a CR that is the last byte yet).
fn has_bare_line_end(bytes: &[u8]) -> bool {
    memchr::memchr2_iter(b'\r', b'\n', bytes).any(|at| match bytes.get(at) {
        Some(b'\n') => at == 0 || bytes.get(at - 1) != Some(&b'\r'),
        _ => bytes.get(at + 1).is_some_and(|next| *next != b'\n'),
    })
}

fn too_long(buffer: &[u8], limits: &Limits) -> Result<Option<Head>, Refusal> {
    let line = memchr::memchr(b'\r', buffer).unwrap_or(buffer.len());
    // The longest method and version around the longest target.
    if line > limits.target_size + 64 || buffer.len() > limits.head_size {
        return Err(oversize(buffer, limits));
    }
    // HTTP/0.9 and other noise ends its line without a version: refused at once, not at the deadline.
    let first = buffer.get(..line).unwrap_or_default();
    if line < buffer.len() && !has_version(first) {
        return Err(Refusal::bad("request-line"));
    }
    Ok(None)
}

fn oversize(buffer: &[u8], limits: &Limits) -> Refusal {
    let line = memchr::memchr(b'\r', buffer).unwrap_or(buffer.len());
    if line > limits.target_size {
        Refusal::new(StatusCode::URI_TOO_LONG, "target-size")
    } else {
        Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-size")
    }
}

fn has_version(line: &[u8]) -> bool {
    line.rsplit(|byte| *byte == b' ').next().is_some_and(|last| last.starts_with(b"HTTP/"))
}

fn parse(raw: &Bytes, limits: &Limits) -> Result<Head, Refusal> {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut many;
    let mut request = httparse::Request::new(&mut lines);
    let mut parsed = request.parse(raw);
    if parsed == Err(httparse::Error::TooManyHeaders) {
        many = vec![httparse::EMPTY_HEADER; limits.fields + 1];
        request = httparse::Request::new(&mut many);
        parsed = request.parse(raw);
    }
    match parsed {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Refusal::bad("request-head")),
        Err(error) => return Err(refuse(error, raw)),
    }
    if !ends_lines(raw, request.headers.len() + 2) {
        return Err(BARE_LINE_END);
    }
    if request.headers.len() > limits.fields {
        return Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "field-count"));
    }
    let method = request.method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    let method = method.ok_or(Refusal::bad("method"))?;
    let target = request.path.ok_or(Refusal::bad("target"))?;
    if target.len() > limits.target_size {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "target-size"));
    }
    let mut fields = HeaderMap::with_capacity(request.headers.len());
    for line in request.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Refusal::bad("field-name"))?;
        let value =
            HeaderValue::from_maybe_shared(raw.slice_ref(line.value)).map_err(|_| Refusal::bad("field-value"))?;
        fields.try_append(name, value).map_err(|_| Refusal::bad("field-count"))?;
    }
    Ok(Head {
        method,
        target: raw.slice_ref(target.as_bytes()),
        version: if request.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 },
        fields,
    })
}

fn refuse(error: httparse::Error, raw: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "field-count"),
        httparse::Error::Version if other_version(raw) => {
            Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "version")
        }
        httparse::Error::HeaderName => Refusal::bad("field-name"),
        httparse::Error::HeaderValue => Refusal::bad("field-value"),
        _ => Refusal::bad("request-line"),
    }
}

/// `HTTP/` digit `.` digit, but neither 1.0 nor 1.1.
fn other_version(raw: &[u8]) -> bool {
    let line = raw.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits {
            connections_per_client: 0,
            connections: 1,
            head_timeout: Duration::ZERO,
            handshake_timeout: Duration::ZERO,
            keepalive_timeout: Duration::ZERO,
            body_timeout: Duration::ZERO,
            send_rate_floor: 0,
            send_grace: Duration::ZERO,
            target_size: 100,
            head_size: 1000,
            fields: 70,
            body_size: 0,
            h2_streams: 1,
        }
    }

    fn status(bytes: &[u8]) -> u16 {
        match head(&mut BytesMut::from(bytes), &limits()) {
            Ok(Some(_)) => 200,
            Ok(None) => 0,
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    #[test]
    fn a_head_is_taken_off_and_the_rest_stays() {
        let mut buffer = BytesMut::from(&b"\r\nGET /a?b HTTP/1.1\r\nHost: x\r\nX: \xff\r\n\r\nGET /"[..]);
        let head = head(&mut buffer, &limits()).unwrap().unwrap();
        assert_eq!((head.method, &head.target[..]), (Method::GET, &b"/a?b"[..]));
        assert_eq!(head.fields["x"].as_bytes(), b"\xff");
        assert_eq!(&buffer[..], b"GET /");
    }

    #[test]
    fn incomplete_heads_wait() {
        for partial in [&b""[..], b"GET", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nHost: x\r\n"] {
            assert_eq!(status(partial), 0, "{:?}", String::from_utf8_lossy(partial));
        }
    }

    #[test]
    fn rfc9112_2_2_bare_line_ends_are_refused() {
        for bad in [
            &b"GET / HTTP/1.1\nHost: x\n\n"[..],
            b"GET / HTTP/1.1\r\nHost: x\nY: z\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n",
        ] {
            assert_eq!(status(bad), 400, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn rfc9112_5_1_whitespace_before_the_colon_is_refused() {
        assert_eq!(status(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"), 400);
    }

    #[test]
    fn rfc9112_5_2_line_folding_is_refused() {
        assert_eq!(status(b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"), 400);
    }

    #[test]
    fn rfc9112_2_3_versions() {
        assert_eq!(status(b"GET / HTTP/1.0\r\n\r\n"), 200);
        assert_eq!(status(b"GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(status(b"GET /\r\n\r\n"), 400);
        assert_eq!(status(b"GET /\r\n"), 400, "HTTP/0.9 is refused without waiting");
    }

    #[test]
    fn what_is_too_large_is_refused_as_such() {
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(200));
        assert_eq!(status(long.as_bytes()), 414);
        let wide = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(1000));
        assert_eq!(status(wide.as_bytes()), 431);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(71));
        assert_eq!(status(many.as_bytes()), 431);
        let enough = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(70));
        assert_eq!(status(enough.as_bytes()), 200);
    }
}
