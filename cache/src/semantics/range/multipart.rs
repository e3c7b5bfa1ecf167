//! The framing of `multipart/byteranges`: RFC 9110 section 14.6.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;

use super::content_range;

/// The line that separates the parts. It must not occur in the content, so it is made of 128 bits nobody can guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// A boundary of 32 hexadecimal digits out of 128 random bits.
    #[must_use]
    pub fn new(random: u128) -> Self {
        Self(format!("{random:032x}"))
    }

    /// The digits, without the dashes around them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A 206 of several parts: the text around the ranges, and how long all of it is.
#[derive(Debug, Clone)]
pub struct Multipart {
    boundary: Boundary,
    heads: Vec<(Bytes, Range<u64>)>,
    closing: Bytes,
    content_length: u64,
}

impl Multipart {
    /// Lays out `ranges` of a representation of `length` bytes; `content_type` is the field the whole representation would have had
    /// (section 15.3.7.2: then each part has it).
    #[must_use]
    pub fn new(boundary: Boundary, ranges: Vec<Range<u64>>, length: u64, content_type: Option<&HeaderValue>) -> Self {
        let closing = Bytes::from(format!("\r\n--{}--\r\n", boundary.as_str()));
        let mut heads = Vec::with_capacity(ranges.len());
        let mut content_length = count(&closing);
        for (place, range) in ranges.into_iter().enumerate() {
            let head = head(&boundary, place == 0, &range, length, content_type);
            let part = range.end.saturating_sub(range.start);
            content_length = content_length.saturating_add(count(&head)).saturating_add(part);
            heads.push((head, range));
        }
        Self { boundary, heads, closing, content_length }
    }

    /// The `Content-Type` of the response.
    #[must_use]
    pub fn content_type(&self) -> HeaderValue {
        super::value(format!("multipart/byteranges; boundary={}", self.boundary.as_str()))
    }

    /// The `Content-Length` of the response: every head, every range and the closing line.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        self.content_length
    }

    /// Each part: the bytes to send before it (separator and fields), and the range that follows them.
    pub fn parts(&self) -> impl Iterator<Item = (Bytes, Range<u64>)> + '_ {
        self.heads.iter().cloned()
    }

    /// The bytes to send after the last part.
    #[must_use]
    pub fn closing(&self) -> Bytes {
        self.closing.clone()
    }
}

fn count(text: &Bytes) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn head(
    boundary: &Boundary,
    first: bool,
    range: &Range<u64>,
    length: u64,
    content_type: Option<&HeaderValue>,
) -> Bytes {
    let mut head = Vec::with_capacity(160);
    // The line break before a separator belongs to the separator (RFC 2046 section 5.1.1).
    head.extend_from_slice(if first { b"--" } else { b"\r\n--" });
    head.extend_from_slice(boundary.as_str().as_bytes());
    if let Some(content_type) = content_type {
        head.extend_from_slice(b"\r\nContent-Type: ");
        head.extend_from_slice(content_type.as_bytes());
    }
    head.extend_from_slice(b"\r\nContent-Range: ");
    head.extend_from_slice(content_range(range, length).as_bytes());
    head.extend_from_slice(b"\r\n\r\n");
    Bytes::from(head)
}
