//! The media type of a file, by the extension of its name.

use http::HeaderValue;

/// A media type and what follows from it.
#[derive(Debug, Clone)]
pub(super) struct MediaType {
    /// The value of `Content-Type`.
    pub(super) value: HeaderValue,
    /// Precompressed siblings are worth looking for.
    pub(super) compressible: bool,
}

impl MediaType {
    /// The type for a file name; `application/octet-stream` for extensions nobody registered, which browsers offer to save.
    ///
    /// Text gets `charset=utf-8`. XML does not: it declares its encoding itself, and the field would overrule it (RFC 7303 section 3).
    pub(super) fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let essence = match extension {
            // Source maps are JSON (ECMA-426), which the table does not know; for modules it has the obsolete name (RFC 9239).
            "map" => "application/json",
            "mjs" | "cjs" => "text/javascript",
            _ => mime_guess::from_ext(extension).first_raw().unwrap_or("application/octet-stream"),
        };
        let textual = essence.starts_with("text/") || essence == "application/javascript";
        let value = if textual && essence != "text/xml" {
            HeaderValue::try_from(format!("{essence}; charset=utf-8"))
                .unwrap_or_else(|_| HeaderValue::from_static(essence))
        } else {
            HeaderValue::from_static(essence)
        };
        Self { value, compressible: !is_compressed(essence) }
    }
}

/// Types whose formats are compressed by themselves, archives and precompressed siblings among them.
fn is_compressed(essence: &str) -> bool {
    let plain_image = ["image/svg+xml", "image/bmp", "image/x-icon", "image/tiff", "image/vnd.microsoft.icon"];
    match essence.split_once('/') {
        Some(("image", _)) => !plain_image.contains(&essence),
        Some(("video" | "audio", _)) => true,
        Some(("font", font)) => font.starts_with("woff"),
        _ => matches!(
            essence,
            "application/gzip"
                | "application/x-gzip"
                | "application/zip"
                | "application/zstd"
                | "application/x-brotli"
                | "application/x-bzip2"
                | "application/x-xz"
                | "application/x-7z-compressed"
                | "application/vnd.rar"
                | "application/x-rar-compressed"
                | "application/font-woff"
                | "application/font-woff2"
        ),
    }
}
