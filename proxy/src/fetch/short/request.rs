//! The head of a request on a short connection.

use super::super::FetchError;
use super::super::forward::Outbound;
use crate::http::RequestBody;

/// Bytes of a usual head.
const USUAL: usize = 1024;

/// The bytes of it.
///
/// # Errors
///
/// The target has bytes that would end it or its line.
pub(super) fn head(outbound: &Outbound, body: &RequestBody) -> Result<Vec<u8>, FetchError> {
    let Outbound { method, path_query, .. } = outbound;
    if path_query.bytes().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n' | b' ')) {
        return Err(FetchError::bad_gateway("request-not-forwardable"));
    }
    let mut head = Vec::with_capacity(USUAL);
    for part in [method.as_str(), " ", if path_query.is_empty() { "/" } else { path_query }, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in outbound.end_to_end() {
        line(&mut head, name.as_str(), value.as_bytes());
    }
    for (name, value) in outbound.of_connection(false, body) {
        line(&mut head, name.as_str(), value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}

/// A field line, its name as people write it: some applications that look for names know no other form.
fn line(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    let start = head.len();
    head.extend_from_slice(name.as_bytes());
    let mut is_first = true;
    for byte in head.get_mut(start..).unwrap_or_default() {
        if is_first {
            byte.make_ascii_uppercase();
        }
        is_first = *byte == b'-';
    }
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    fn outbound(path_query: &str) -> Outbound {
        let mut fields = HeaderMap::new();
        fields.insert("host", HeaderValue::from_static("a"));
        fields.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        fields.insert(AUTHORIZATION, HeaderValue::from_static("Basic x"));
        Outbound { method: Method::POST, path_query: path_query.to_owned(), fields, ..Outbound::default() }
    }

    #[test]
    fn a_request_says_that_its_connection_ends_with_it() {
        let head = head(&outbound("/a?b"), &RequestBody::Empty).unwrap();
        assert_eq!(
            String::from_utf8(head).unwrap(),
            "POST /a?b HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nAuthorization: Basic x\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn what_was_for_us_is_withheld() {
        let outbound = Outbound { withholds_authorization: true, ..outbound("/") };
        let head = head(&outbound, &RequestBody::Empty).unwrap();
        assert!(!String::from_utf8(head).unwrap().contains("Basic"));
    }

    #[test]
    fn a_target_cannot_end_its_line() {
        for bad in ["/a b", "/a\r\nX: y", "/\0"] {
            assert!(head(&outbound(bad), &RequestBody::Empty).is_err(), "{bad:?}");
        }
    }
}
