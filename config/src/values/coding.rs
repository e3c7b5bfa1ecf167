//! Content codings: `compress = ["zstd", "br", "gzip"]`.

use super::{Wrong, choice};
use crate::model::Coding;

/// The names of the codings in `Content-Encoding`.
pub(crate) const CODINGS: [(&str, Coding); 3] =
    [("zstd", Coding::Zstd), ("br", Coding::Brotli), ("gzip", Coding::Gzip)];

/// Parses the name of a coding.
pub(crate) fn parse(text: &str) -> Result<Coding, Wrong> {
    if text == "brotli" {
        return Err(Wrong::new("\"brotli\" is not one of its words", "did you mean \"br\"?"));
    }
    choice::parse(text, &CODINGS)
}
