//! Where a request's content ends (RFC 9112 section 6), and what is refused for leaving it open.

use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};

use crate::http::Refusal;

/// How the content of a request is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// The framing of a request with these fields.
///
/// # Errors
///
/// 400 for anything that two implementations could read differently: both fields, several lengths, a coding that is
/// not exactly `chunked`, `Transfer-Encoding` in HTTP/1.0.
pub(super) fn of(version: Version, fields: &HeaderMap) -> Result<Framing, Refusal> {
    let mut codings = fields.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if version == Version::HTTP_10 {
            return Err(Refusal::bad("transfer-encoding-in-http-1.0"));
        }
        if fields.contains_key(CONTENT_LENGTH) {
            return Err(Refusal::bad("content-length-and-transfer-encoding"));
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::bad("transfer-encoding"));
        }
        return Ok(Framing::Chunked);
    }
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(Framing::None) };
    if lengths.next().is_some() {
        return Err(Refusal::bad("several-content-lengths"));
    }
    match decimal(length.as_bytes()) {
        Some(0) => Ok(Framing::None),
        Some(length) => Ok(Framing::Length(length)),
        None => Err(Refusal::bad("content-length")),
    }
}

/// Digits only (RFC 9110 section 8.6), no sign, no list, no overflow.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether the client waits for `100 Continue` (RFC 9110 section 10.1.1).
///
/// # Errors
///
/// 417 for any other expectation.
pub(super) fn expects_continue(version: Version, fields: &HeaderMap) -> Result<bool, Refusal> {
    let mut expectations = fields.get_all(EXPECT).iter();
    let Some(expectation) = expectations.next() else { return Ok(false) };
    if version == Version::HTTP_10 {
        return Ok(false);
    }
    if expectations.next().is_some() || !expectation.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, "expectation"));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn framing(version: Version, lines: &[(&str, &str)]) -> Option<Framing> {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        of(version, &fields).ok()
    }

    #[test]
    fn rfc9112_6_3_lengths() {
        assert_eq!(framing(Version::HTTP_11, &[]), Some(Framing::None));
        assert_eq!(framing(Version::HTTP_11, &[("content-length", "5")]), Some(Framing::Length(5)));
        assert_eq!(framing(Version::HTTP_11, &[("transfer-encoding", "Chunked")]), Some(Framing::Chunked));
        for bad in ["+5", "-1", "0x5", "5 6", "1_0", "", "5, 5", "18446744073709551621"] {
            assert_eq!(framing(Version::HTTP_11, &[("content-length", bad)]), None, "{bad}");
        }
    }

    #[test]
    fn rfc9112_6_1_what_could_be_read_two_ways_is_refused() {
        let both = [("content-length", "5"), ("transfer-encoding", "chunked")];
        assert_eq!(framing(Version::HTTP_11, &both), None);
        assert_eq!(framing(Version::HTTP_11, &[("content-length", "5"), ("content-length", "5")]), None);
        assert_eq!(framing(Version::HTTP_10, &[("transfer-encoding", "chunked")]), None);
        for bad in ["xchunked", "chunked,", "\"chunked\"", "chunked, identity", "identity", "gzip, chunked"] {
            assert_eq!(framing(Version::HTTP_11, &[("transfer-encoding", bad)]), None, "{bad}");
        }
        let two = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(framing(Version::HTTP_11, &two), None);
    }
}
