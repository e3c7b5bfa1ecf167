//! From an open file to a response: content coding, preconditions, ranges, fields.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use forebay_cache::semantics::coding::{Negotiated, negotiate};
use forebay_cache::semantics::precondition::{EntityTag, Precondition, Validators, evaluate, if_range};
use forebay_cache::semantics::range::{self, Boundary, Multipart, Ranges};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::FileAnswer;
use super::body::{FileBody, Part};
use super::open::{OpenFile, Selection};
use super::slice::FileSlice;

/// RFC 9110 section 14.2 lets a server limit this; each part costs about 150 bytes of framing and a read.
const MAX_RANGES: usize = 16;

/// Answers a GET or HEAD with `selection`.
pub(super) fn reply(method: &Method, request: &HeaderMap, selection: Selection) -> FileAnswer {
    let Selection { file, media_type, mut siblings } = selection;
    let offered: Vec<_> = siblings.iter().map(|(coding, _)| *coding).collect();
    let negotiated = negotiate(request, &offered);
    let mut fields = HeaderMap::with_capacity(10);
    if !siblings.is_empty() || negotiated == Negotiated::NotAcceptable {
        fields.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let original = Arc::clone(&file);
    let (file, coding) = match negotiated {
        Negotiated::NotAcceptable => return FileAnswer::empty(StatusCode::NOT_ACCEPTABLE, fields),
        Negotiated::Identity => (file, None),
        Negotiated::Coding(chosen) => match siblings.iter().position(|(coding, _)| *coding == chosen) {
            Some(place) => (siblings.swap_remove(place).1, Some(chosen)),
            None => (file, None),
        },
    };

    let now = SystemTime::now();
    // Section 8.8.2.1: never later than the clock of this server.
    let last_modified = file.modified().map(|modified| modified.min(now));
    let etag = entity_tag(&file, coding.map_or("", |coding| coding.token()));
    let validators = Validators { etag: EntityTag::parse(etag.as_bytes()), last_modified, date: Some(now) };
    let precondition = evaluate(method, request, &validators);
    // Section 14.2: Range is defined for GET alone; section 13.2.2: it counts once the preconditions are true.
    let ranges = if precondition == Precondition::Proceed && *method == Method::GET && if_range(request, &validators) {
        range::of_request(request, file.length(), MAX_RANGES)
    } else {
        Ranges::Ignore
    };

    match precondition {
        Precondition::Failed => return FileAnswer::empty(StatusCode::PRECONDITION_FAILED, fields),
        Precondition::NotModified => {
            // Section 15.4.5: what guides the caches, and no other metadata.
            fields.insert(header::ETAG, etag);
            return FileAnswer {
                files: watched(original, file),
                ..FileAnswer::empty(StatusCode::NOT_MODIFIED, fields)
            };
        }
        Precondition::Proceed => {}
    }
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if ranges == Ranges::Unsatisfiable {
        fields.insert(header::CONTENT_RANGE, range::unsatisfied_content_range(file.length()));
        return FileAnswer::empty(StatusCode::RANGE_NOT_SATISFIABLE, fields);
    }
    fields.insert(header::ETAG, etag);
    if let Some(Ok(date)) = last_modified.map(|time| HeaderValue::try_from(httpdate::fmt_http_date(time))) {
        fields.insert(header::LAST_MODIFIED, date);
    }
    if let Some(coding) = coding {
        fields.insert(header::CONTENT_ENCODING, coding.value());
    }
    let (status, length, parts) = lay_out(ranges, &file, &media_type.value, &mut fields);
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let body = if *method == Method::HEAD { FileBody::empty() } else { FileBody::new(parts) };
    FileAnswer { status, fields, body, length, files: watched(original, file) }
}

fn watched(original: Arc<OpenFile>, sent: Arc<OpenFile>) -> Vec<Arc<OpenFile>> {
    if Arc::ptr_eq(&original, &sent) { vec![sent] } else { vec![original, sent] }
}

/// Status, content length and the pieces of the content; `Content-Type` and `Content-Range` go into `fields`.
fn lay_out(
    ranges: Ranges,
    file: &Arc<OpenFile>,
    media_type: &HeaderValue,
    fields: &mut HeaderMap,
) -> (StatusCode, u64, Vec<Part>) {
    let length = file.length();
    let part = |range| Part::File(FileSlice::new(Arc::clone(file), range));
    let ranges = match ranges {
        Ranges::Multiple(ranges) => ranges,
        Ranges::Single(range) => {
            fields.insert(header::CONTENT_TYPE, media_type.clone());
            fields.insert(header::CONTENT_RANGE, range::content_range(&range, length));
            return (StatusCode::PARTIAL_CONTENT, size(&range), vec![part(range)]);
        }
        Ranges::Ignore | Ranges::Unsatisfiable => {
            fields.insert(header::CONTENT_TYPE, media_type.clone());
            return (StatusCode::OK, length, vec![part(0..length)]);
        }
    };
    let multipart = Multipart::new(Boundary::new(random()), ranges, length, Some(media_type));
    fields.insert(header::CONTENT_TYPE, multipart.content_type());
    let mut parts: Vec<Part> = multipart.parts().flat_map(|(head, range)| [Part::Bytes(head), part(range)]).collect();
    parts.push(Part::Bytes(multipart.closing()));
    (StatusCode::PARTIAL_CONTENT, multipart.content_length(), parts)
}

fn size(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// A strong entity tag, other for each coding.
///
/// Size and time of modification alone are not enough: a release unpacked with fixed times (container images, Nix) may replace a file by
/// one of the same size and time. So the inode and its time of change count as well, hashed because they are nobody's business. The price:
/// two machines with copies of the same file name it differently, which costs a full answer where a 304 would have done.
fn entity_tag(file: &OpenFile, coding: &str) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    let stat = &file.stat;
    (file.mtime(), stat.st_ctime, stat.st_ctime_nsec, stat.st_ino).hash(&mut hasher);
    let separator = if coding.is_empty() { "" } else { "-" };
    let text = format!("\"{:x}-{:016x}{separator}{coding}\"", file.length(), hasher.finish());
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// 128 bits nobody outside can foretell: the hash of nothing under keys drawn from the operating system.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}
