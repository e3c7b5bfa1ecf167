//! From the path of a request to a path beneath the root: decoded once, and refused when it could mean two things.
//!
//! Nothing is repaired. `..` and encoded separators are what attacks are made of and what two servers read in two ways, so they end in
//! 400 here rather than in a guess; so does a path that begins with `//`, which a careless reader takes for a host. Empty segments
//! further on name no file, but must pass: WordPress itself asks for `/wp-json/wp/v2/templates/THEME//home`. Containment does not
//! depend on this file: [`super::open`] has the kernel enforce it.

use http::StatusCode;

/// A file or directory to look for, relative to the root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Segments joined by `/`, without one at either end; empty for the root itself. Never holds NUL, `..` or `.`.
    pub(super) path: String,
    /// The request path ended in `/`.
    pub(super) directory: bool,
    /// A segment is empty, so this is no path of a file and must not be opened.
    pub(super) empty_segment: bool,
}

impl Target {
    /// The names on the way, the last one included.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter(|segment| !segment.is_empty())
    }
}

/// Decodes and checks a request path, which begins with `/` and has no query.
///
/// # Errors
/// 400 for everything ambiguous: see the tests for the list.
pub(super) fn resolve(raw: &[u8]) -> Result<Target, StatusCode> {
    let bad = StatusCode::BAD_REQUEST;
    let path = String::from_utf8(decode(raw.strip_prefix(b"/").ok_or(bad)?).ok_or(bad)?).map_err(|_| bad)?;
    if path.chars().any(|symbol| symbol.is_control() || symbol == '\\') {
        return Err(bad);
    }
    let (names, directory) = match path.strip_suffix('/') {
        Some(names) => (names, true),
        None => (path.as_str(), path.is_empty()),
    };
    let mut segments = names.split('/');
    if path.starts_with('/') || !segments.all(|segment| segment.is_empty() || plain(segment)) {
        return Err(bad);
    }
    let empty_segment = !names.is_empty() && names.split('/').any(str::is_empty);
    Ok(Target { path: names.to_owned(), directory, empty_segment })
}

/// Percent-decodes once. `None` for an incomplete triplet and for an encoded slash, which would become a separator that was none.
fn decode(raw: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                match u8::try_from(high << 4 | low).ok()? {
                    b'/' => return None,
                    byte => byte,
                }
            }
            // A query or fragment never belongs to the path that is handed in.
            b'?' | b'#' => return None,
            byte => byte,
        });
    }
    Some(decoded)
}

/// A segment that is a name in every reading: no `.` or `..` (not even before a `;` parameter, as servlet containers read
/// it), not a parameter alone, and nothing in it that a second decoding would turn into a dot, a separator, a NUL or another escape.
fn plain(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    !matches!(name, "" | "." | "..") && !decodes_again(segment.as_bytes())
}

fn decodes_again(segment: &[u8]) -> bool {
    const SUSPICIOUS: [&[u8]; 5] = [b"%2e", b"%2f", b"%5c", b"%25", b"%00"];
    segment.windows(3).any(|escape| SUSPICIOUS.iter().any(|suspicious| escape.eq_ignore_ascii_case(suspicious)))
}
