//! How the fields change when content is coded, and how validators find their way back.
//!
//! Coded and plain content are two representations, so each has its own strong validator (RFC 9110 section 8.8.3.3): the
//! origin's `"abc"` becomes `"abc-gz"`, `"abc-br"` or `"abc-zst"`.

use forebay_cache::semantics::coding::Coding;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, Entry, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::eligible::list;

/// Digests of the content or of the representation as it was: RFC 9530, the older RFC 3230, and RFC 1864.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Turns the fields of a response into those of the same response in `coding`.
///
/// `length` is that of the coded content. Where it is not known yet, `Content-Length` goes, and `Accept-Ranges` too: nobody
/// could find the same range in a stream that is coded anew each time.
pub(crate) fn encoded(fields: &mut HeaderMap, coding: Coding, length: Option<u64>) {
    fields.insert(CONTENT_ENCODING, coding.value());
    match length {
        Some(length) => {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {
            fields.remove(CONTENT_LENGTH);
            fields.remove(ACCEPT_RANGES);
        }
    }
    for digest in DIGESTS {
        fields.remove(digest);
    }
    if let Entry::Occupied(mut etag) = fields.entry(ETAG) {
        let tag = if etag.iter().count() == 1 { with_coding_suffix(etag.get(), coding) } else { None };
        match tag {
            Some(tag) => drop(etag.insert(tag)),
            // Malformed, it cannot be told apart from the plain content's: better no validator than a wrong one.
            None => drop(etag.remove_entry_mult()),
        }
    }
    vary(fields);
}

/// Adds `Accept-Encoding` to `Vary`, once; `*` says as much already. Every representation of a response that is compressed
/// for some needs it, the plain one too (RFC 9110 section 12.5.5).
pub(crate) fn vary(fields: &mut HeaderMap) {
    let covered = |member: &[u8]| member == b"*" || member.eq_ignore_ascii_case(b"accept-encoding");
    if list(fields, &VARY).any(covered) {
        return;
    }
    match fields.entry(VARY) {
        Entry::Vacant(vary) => drop(vary.insert(HeaderValue::from_static("Accept-Encoding"))),
        Entry::Occupied(mut vary) => {
            let lines: Vec<&[u8]> = vary.iter().map(HeaderValue::as_bytes).collect();
            let mut value = lines.join(&b", "[..]);
            let blank = value.trim_ascii().is_empty();
            value.extend_from_slice(if blank { b"Accept-Encoding" } else { b", Accept-Encoding" });
            match HeaderValue::from_maybe_shared(bytes::Bytes::from(value)) {
                Ok(value) => drop(vary.insert(value)),
                // What is made of valid values is valid; if not, a line of its own says the same.
                Err(_) => vary.append(HeaderValue::from_static("Accept-Encoding")),
            }
        }
    }
}

/// `"abc"` to `"abc-gz"`, `W/"abc"` to `W/"abc-gz"`; `None` if it is no entity tag (RFC 9110 section 8.8.3).
pub(crate) fn with_coding_suffix(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let tag = tag.as_bytes().trim_ascii();
    opaque(tag)?;
    let prefix = tag.strip_suffix(b"\"")?;
    let mut suffixed = Vec::with_capacity(tag.len() + 4);
    // A tag that ends in a suffix of ours already gets another, or the origin's would be cut on its way back.
    suffixed.extend_from_slice(prefix);
    suffixed.extend_from_slice(suffix(coding));
    suffixed.push(b'"');
    HeaderValue::from_maybe_shared(bytes::Bytes::from(suffixed)).ok()
}

/// `"abc-gz"` to `"abc"` and gzip; `None` if the tag has none of our suffixes. Weak stays weak.
pub(crate) fn strip_coding_suffix(tag: &[u8]) -> Option<(Vec<u8>, Coding)> {
    opaque(tag)?;
    let prefix = tag.strip_suffix(b"\"")?;
    [Coding::Zstd, Coding::Brotli, Coding::Gzip].into_iter().find_map(|coding| {
        let mut tag = prefix.strip_suffix(suffix(coding))?.to_vec();
        tag.push(b'"');
        opaque(&tag).is_some().then_some((tag, coding))
    })
}

/// Makes a client's conditions understood by an upstream that knows the plain content only.
///
/// `If-None-Match` and `If-Match` get the tag without our suffix beside the one with it, for an origin may use the same
/// suffix itself. `If-Range` with such a tag goes, and `Range` with it: the range was one of the coded content, and the
/// upstream would answer with one of the plain (RFC 9110 section 13.1.5).
pub(crate) fn restore_conditions(request: &mut HeaderMap) {
    for name in [IF_NONE_MATCH, IF_MATCH] {
        let stripped: Vec<Vec<u8>> = tags(request, &name).filter_map(strip_coding_suffix).map(|(tag, _)| tag).collect();
        if !stripped.is_empty() {
            let members: Vec<&[u8]> = tags(request, &name).chain(stripped.iter().map(Vec::as_slice)).collect();
            if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(members.join(&b", "[..]))) {
                request.insert(name, value);
            }
        }
    }
    if tags(request, &IF_RANGE).any(|tag| strip_coding_suffix(tag).is_some()) {
        request.remove(IF_RANGE);
        request.remove(RANGE);
    }
}

/// For a 304 from an upstream with `etag`: the coding of the representation the client holds, if `If-None-Match` of its
/// request shows that it is a coded one. The 304 must carry that representation's tag (RFC 9110 section 15.4.5), so it
/// goes through [`with_coding_suffix`].
///
/// A client that holds several is answered for `preferred`, the one this request would have got.
pub(crate) fn held_coding(request: &HeaderMap, etag: &HeaderValue, preferred: Option<Coding>) -> Option<Coding> {
    let current = opaque(etag.as_bytes().trim_ascii())?;
    let mut found = None;
    for tag in tags(request, &IF_NONE_MATCH) {
        if opaque(tag) == Some(current) && preferred.is_none() {
            return None;
        }
        if let Some((tag, coding)) = strip_coding_suffix(tag)
            && opaque(&tag) == Some(current)
        {
            if preferred == Some(coding) {
                return preferred;
            }
            found = found.or(Some(coding));
        }
    }
    found
}

const fn suffix(coding: Coding) -> &'static [u8] {
    match coding {
        Coding::Zstd => b"-zst",
        Coding::Brotli => b"-br",
        Coding::Gzip => b"-gz",
    }
}

/// What stands between the quotes of a well-formed entity tag.
fn opaque(tag: &[u8]) -> Option<&[u8]> {
    let opaque = tag.strip_prefix(b"W/").unwrap_or(tag).strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    opaque.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)).then_some(opaque)
}

/// The members of a list of entity tags. A comma may stand within a tag, and a backslash escapes nothing there.
fn tags<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    fields.get_all(name).iter().flat_map(|line| {
        let mut quoted = false;
        line.as_bytes()
            .split(move |byte| {
                quoted ^= *byte == b'"';
                *byte == b',' && !quoted
            })
            .map(<[u8]>::trim_ascii)
            .filter(|tag| !tag.is_empty())
    })
}

#[cfg(test)]
mod tests;
