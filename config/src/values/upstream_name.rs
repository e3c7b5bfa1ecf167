//! Names of upstreams. They are label values of metrics and words of the log, hence the plain characters.

use super::{Wrong, quoted};

/// A name of 1 to 64 letters, digits, `-`, `_` and `.`.
pub(crate) fn parse(text: &str) -> Result<String, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain && (1..=64).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        let hint = "write up to 64 letters, digits, hyphens, underscores and dots: \"ap\"";
        Err(Wrong::new(format!("{} is not a name", quoted(text)), hint))
    }
}
