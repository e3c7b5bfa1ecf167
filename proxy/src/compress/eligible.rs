//! Whether a response is worth compressing, and allowed to be.

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, StatusCode};

/// Why a response goes out as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ineligible {
    /// The status has no content, or only a part of it (206): a range of the coded content would be another range.
    Status,
    /// `Content-Range`.
    Partial,
    /// It has a content coding already.
    Coded,
    /// `no-transform` (RFC 9111 section 5.2.2.6).
    NoTransform,
    /// The media type is unknown, compressed by nature, or a stream of events that must not wait in an encoder.
    MediaType,
    /// Shorter than the configured minimum.
    TooSmall,
}

/// Whether this response may and should be compressed. `min` is in bytes; it cannot be checked where the length is unknown.
///
/// Error pages are compressed like any other: a WordPress 404 is a whole page.
///
/// # Errors
/// The first reason that speaks against it.
pub(crate) fn eligible(status: StatusCode, fields: &HeaderMap, min: u64) -> Result<(), Ineligible> {
    if !has_whole_content(status) {
        return Err(Ineligible::Status);
    }
    if fields.contains_key(CONTENT_RANGE) {
        return Err(Ineligible::Partial);
    }
    // `identity` should not be sent (RFC 9110 section 8.4.1) but is, and means what it says.
    if list(fields, &CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Ineligible::Coded);
    }
    let mut types = fields.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(media_type), None) if compressible(media_type.as_bytes()) => {}
        _ => return Err(Ineligible::MediaType),
    }
    if no_transform(fields) {
        return Err(Ineligible::NoTransform);
    }
    let length = fields.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if length.is_some_and(|length| length < min || length == 0) {
        return Err(Ineligible::TooSmall);
    }
    Ok(())
}

/// Whether `Cache-Control` says `no-transform`: in a response (RFC 9111 section 5.2.2.6), or in a request, which asks the
/// same of us (section 5.2.1.6).
pub(crate) fn no_transform(fields: &HeaderMap) -> bool {
    list(fields, &CACHE_CONTROL).any(|directive| {
        // `no-transform=1` is not what the RFC defines; whoever wrote it meant it.
        directive
            .split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default()
            .trim_ascii()
            .eq_ignore_ascii_case(b"no-transform")
    })
}

fn has_whole_content(status: StatusCode) -> bool {
    !(status.is_informational()
        || matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        ))
}

/// Text, and what is text in all but name. Images, video, woff fonts and archives are compressed by nature.
fn compressible(media_type: &[u8]) -> bool {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let Ok(essence) = std::str::from_utf8(&essence) else { return false };
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    match kind {
        "text" => subtype != "event-stream" && !subtype.is_empty(),
        "application" => {
            subtype.ends_with("+json")
                || subtype.ends_with("+xml")
                || subtype.ends_with("+text")
                || matches!(
                    subtype,
                    "json"
                        | "javascript"
                        | "x-javascript"
                        | "ecmascript"
                        | "xml"
                        | "xml-dtd"
                        | "wasm"
                        | "manifest"
                        | "x-ndjson"
                        | "json-seq"
                        | "geo+json-seq"
                        | "graphql"
                        | "rtf"
                        | "sql"
                        | "toml"
                        | "yaml"
                        | "x-yaml"
                        | "x-httpd-php-source"
                        | "vnd.ms-fontobject"
                        | "x-font-ttf"
                        | "x-font-otf"
                        | "x-font-opentype"
                        | "x-font-truetype"
                )
        }
        "image" => matches!(subtype, "svg+xml" | "bmp" | "x-icon" | "vnd.microsoft.icon"),
        "font" => matches!(subtype, "ttf" | "otf" | "collection" | "sfnt"),
        "model" => matches!(subtype, "gltf+json" | "obj" | "stl"),
        _ => false,
    }
}

/// The members of a list field, over all its lines; a comma within a quoted string does not divide (RFC 9110 section 5.6.1).
pub(super) fn list<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    fields.get_all(name).iter().flat_map(|line| {
        let (mut quoted, mut escaped) = (false, false);
        line.as_bytes()
            .split(move |byte| {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    _ => {}
                }
                *byte == b',' && !quoted
            })
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn judge(status: u16, fields: &[(&'static str, &'static str)]) -> Result<(), Ineligible> {
        eligible(StatusCode::from_u16(status).unwrap(), &map(fields), 1024)
    }

    const HTML: (&str, &str) = ("content-type", "text/html; charset=UTF-8");

    #[test]
    fn statuses_with_whole_content_are_eligible() {
        for status in [200, 201, 203, 301, 400, 403, 404, 410, 500, 503] {
            assert_eq!(judge(status, &[HTML]), Ok(()), "{status}");
        }
        for status in [100, 103, 204, 205, 206, 304] {
            assert_eq!(judge(status, &[HTML]), Err(Ineligible::Status), "{status}");
        }
        assert_eq!(judge(200, &[HTML, ("content-range", "bytes 0-9/100")]), Err(Ineligible::Partial));
    }

    #[test]
    fn media_types_that_shrink_are_eligible() {
        for media_type in [
            "text/html",
            "TEXT/CSS",
            "text/plain ; charset=utf-8",
            "application/json",
            "application/ld+json; profile=x",
            "application/rss+xml",
            "application/javascript",
            "application/wasm",
            "application/manifest+json",
            "image/svg+xml",
            "font/ttf",
            "font/otf",
            "application/vnd.ms-fontobject",
        ] {
            assert_eq!(judge(200, &[("content-type", media_type)]), Ok(()), "{media_type}");
        }
        for media_type in [
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "image/png",
            "image/webp",
            "video/mp4",
            "font/woff2",
            "application/zip",
            "application/gzip",
            "application/octet-stream",
            "application/pdf",
            "application/grpc",
            "multipart/x-mixed-replace; boundary=x",
            "text",
            "text/",
            "",
        ] {
            assert_eq!(judge(200, &[("content-type", media_type)]), Err(Ineligible::MediaType), "{media_type}");
        }
        assert_eq!(judge(200, &[]), Err(Ineligible::MediaType));
        assert_eq!(judge(200, &[HTML, ("content-type", "image/png")]), Err(Ineligible::MediaType));
    }

    #[test]
    fn coded_content_is_not_coded_again() {
        for coding in ["gzip", "br", "identity, gzip", "x-unknown"] {
            assert_eq!(judge(200, &[HTML, ("content-encoding", coding)]), Err(Ineligible::Coded), "{coding}");
        }
        for coding in ["identity", "Identity", ""] {
            assert_eq!(judge(200, &[HTML, ("content-encoding", coding)]), Ok(()), "{coding}");
        }
        let lines = [HTML, ("content-encoding", "identity"), ("content-encoding", "gzip")];
        assert_eq!(judge(200, &lines), Err(Ineligible::Coded));
    }

    #[test]
    fn rfc9111_5_2_2_6_no_transform_is_obeyed() {
        for value in ["no-transform", "max-age=60, No-Transform", "private=\"a,b\", no-transform"] {
            assert_eq!(judge(200, &[HTML, ("cache-control", value)]), Err(Ineligible::NoTransform), "{value}");
        }
        let lines = [HTML, ("cache-control", "max-age=60"), ("cache-control", "no-transform")];
        assert_eq!(judge(200, &lines), Err(Ineligible::NoTransform));
        for value in
            ["no-transformation", "ext=\"no-transform\"", "ext=\"a, no-transform, b\"", "x=\"\\\", no-transform\""]
        {
            assert_eq!(judge(200, &[HTML, ("cache-control", value)]), Ok(()), "{value}");
        }
    }

    #[test]
    fn short_content_is_left_alone_where_the_length_is_known() {
        assert_eq!(judge(200, &[HTML, ("content-length", "1023")]), Err(Ineligible::TooSmall));
        assert_eq!(judge(200, &[HTML, ("content-length", "1024")]), Ok(()));
        assert_eq!(judge(200, &[HTML]), Ok(()));
        let empty = map(&[HTML, ("content-length", "0")]);
        assert_eq!(eligible(StatusCode::OK, &empty, 0), Err(Ineligible::TooSmall));
    }
}
