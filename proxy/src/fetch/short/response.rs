//! The head of a response on a short connection, and how its content is delimited (RFC 9112 section 6.3).

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pingora_http::header_value_from_raw;

use super::super::FetchError;
use super::super::receive::check_framing;
use crate::http::chunked::Decoder;

/// Field lines of a usual head; more cost another try.
const USUAL: usize = 64;

/// So many fields we add to them, at most.
const OURS: usize = 6;

/// Most field lines of a head.
const MOST: usize = 256;

/// How content is delimited.
#[derive(Debug)]
pub(super) enum Content {
    /// So many bytes are left of it.
    Length(u64),
    Chunked(Decoder),
    /// It ends with the connection.
    UntilClose,
}

/// A head, and the bytes that it took.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) length: usize,
}

/// The head at the front of `bytes`; `None` while it is not whole.
///
/// # Errors
///
/// It is none, or does not tell beyond doubt where its content ends.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, FetchError> {
    let mut lines = [httparse::EMPTY_HEADER; USUAL];
    let mut many;
    let mut response = httparse::Response::new(&mut lines);
    // What old CGI programs write, and every proxy takes.
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    parser.allow_obsolete_multiline_headers_in_responses(true);
    let mut parsed = parser.parse_response(&mut response, bytes);
    if parsed == Err(httparse::Error::TooManyHeaders) {
        many = vec![httparse::EMPTY_HEADER; MOST];
        response = httparse::Response::new(&mut many);
        parsed = parser.parse_response(&mut response, bytes);
    }
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(FetchError::MALFORMED),
    };
    let raw = Bytes::copy_from_slice(bytes.get(..length).unwrap_or_default());
    check_framing(&raw)?;
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(FetchError::MALFORMED)?;
    let mut fields = HeaderMap::with_capacity(response.headers.len() + OURS);
    for line in response.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| FetchError::MALFORMED)?;
        fields.try_append(name, value(line.value, bytes, &raw)).map_err(|_| FetchError::MALFORMED)?;
    }
    Ok(Some(Head { status, fields, length }))
}

/// `value`, which lies in `bytes`, as a part of `raw`, which is a copy of their beginning. Line folding is undone (RFC
/// 9112 section 5.2).
fn value(value: &[u8], bytes: &[u8], raw: &Bytes) -> HeaderValue {
    let start = value.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
    let there = start.checked_add(value.len()).and_then(|end| raw.get(start..end));
    let part = there.map_or_else(|| Bytes::copy_from_slice(value), |there| raw.slice_ref(there));
    header_value_from_raw(part)
}

/// How the content of the response to a request by `method` is delimited.
///
/// # Errors
///
/// By a length that is none.
pub(super) fn content(method: &Method, head: &mut Head) -> Result<Content, FetchError> {
    let Head { status, fields, .. } = head;
    if *method == Method::HEAD || matches!(*status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Content::Length(0));
    }
    // By `check_framing` one of these at most is there, and a coding is `chunked` or an unknown word.
    if let Some(coding) = fields.get(TRANSFER_ENCODING) {
        let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
        return Ok(if is_chunked { Content::Chunked(Decoder::of_server()) } else { Content::UntilClose });
    }
    let Some(told) = fields.get(CONTENT_LENGTH) else { return Ok(Content::UntilClose) };
    let length = length(told.as_bytes()).ok_or(FetchError::MALFORMED)?;
    if told.as_bytes().contains(&b',') {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(Content::Length(length))
}

/// A number, or one number several times (RFC 9110 section 8.6).
fn length(told: &[u8]) -> Option<u64> {
    let mut numbers = told.split(|byte| *byte == b',').map(|number| {
        let number = number.trim_ascii();
        let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        is_number.then(|| std::str::from_utf8(number).ok()?.parse().ok()).flatten()
    });
    let first: u64 = numbers.next()??;
    numbers.all(|other| other == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<Head>, FetchError> {
        head(text.as_bytes())
    }

    fn delimited(method: &Method, text: &str) -> Result<String, FetchError> {
        let mut head = parsed(text)?.ok_or(FetchError::MALFORMED)?;
        Ok(match content(method, &mut head)? {
            Content::Length(length) => length.to_string(),
            Content::Chunked(_) => "chunked".to_owned(),
            Content::UntilClose => "close".to_owned(),
        })
    }

    #[test]
    fn a_head_is_taken_as_far_as_it_goes() {
        let head = parsed("HTTP/1.1 200 OK\r\nA: b\r\nA:  c \r\nX-\u{e4}: d\r\n\r\nrest");
        assert_eq!(head.err(), Some(FetchError::MALFORMED), "names are tokens");
        let head = parsed("HTTP/1.0 404 Not Found\r\nA: b\r\nA:  c \r\nE:\r\n\r\nrest").unwrap().unwrap();
        assert_eq!((head.status, head.length), (StatusCode::NOT_FOUND, 44));
        assert_eq!(head.fields.get_all("a").iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(head.fields["e"], "");
    }

    #[test]
    fn a_head_that_is_not_whole_waits_and_one_that_is_none_does_not() {
        for part in ["", "HTT", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nA: b\r\n"] {
            assert!(parsed(part).unwrap().is_none(), "{part:?}");
        }
        for none in ["<html>", "HTTP/2 200\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n", "HTTP/1.1 200 OK\r\nA\r\n\r\n"] {
            assert_eq!(parsed(none).err(), Some(FetchError::MALFORMED), "{none:?}");
        }
    }

    #[test]
    fn many_fields_are_taken_and_too_many_are_not() {
        let with = |fields: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(fields));
        assert_eq!(parsed(&with(MOST)).unwrap().unwrap().fields.len(), MOST);
        assert_eq!(parsed(&with(MOST + 1)).err(), Some(FetchError::MALFORMED));
    }

    #[test]
    fn rfc9112_5_2_a_folded_value_becomes_one_line() {
        let head = parsed("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nD: e\r\n\r\n").unwrap().unwrap();
        assert_eq!(
            (&head.fields["a"], &head.fields["d"]),
            (&HeaderValue::from_static("b c"), &HeaderValue::from_static("e"))
        );
    }

    #[test]
    fn rfc9112_6_3_what_delimits_content() {
        let of = |fields: &str| delimited(&Method::GET, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!(of("Content-Length: 5\r\n").as_deref(), Ok("5"));
        assert_eq!(of("Transfer-Encoding: CHUNKED\r\n").as_deref(), Ok("chunked"));
        assert_eq!(of("Transfer-Encoding: binary\r\n").as_deref(), Ok("close"));
        assert_eq!(of("").as_deref(), Ok("close"));
        assert_eq!(of("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Err(FetchError::FRAMING));
        assert_eq!(delimited(&Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").as_deref(), Ok("0"));
        assert_eq!(delimited(&Method::GET, "HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n").as_deref(), Ok("0"));
        assert_eq!(delimited(&Method::GET, "HTTP/1.1 204 X\r\n\r\n").as_deref(), Ok("0"));
    }

    #[test]
    fn rfc9110_8_6_a_length_is_a_number_or_the_same_number_again() {
        assert_eq!(length(b"5"), Some(5));
        assert_eq!(length(b"5, 5"), Some(5));
        for bad in ["", "5, 6", "+5", "-5", "5 5", "0x5", "99999999999999999999", "5,"] {
            assert_eq!(length(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
