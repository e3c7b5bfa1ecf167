//! Keys and tokens, and the names of fields that carry them.

use super::{Wrong, quoted};

/// Shortest secret: what is shorter is guessed.
const SHORTEST: usize = 8;

/// A secret as it stands in a field value: visible characters.
pub(crate) fn parse(text: &str) -> Result<String, Wrong> {
    if text.len() < SHORTEST {
        let hint = "make one: openssl rand -hex 24";
        return Err(Wrong::new(format!("a secret of {} characters is guessed", text.len()), hint));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Wrong::new("a secret has visible ASCII characters alone", "make one: openssl rand -hex 24"));
    }
    Ok(text.to_owned())
}

/// The name of a field, in lower case.
pub(crate) fn field_name(text: &str) -> Result<String, Wrong> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let name = text.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Wrong::new(format!("{} is not the name of a field", quoted(text)), "write one: \"X-Purge-Key\""));
    }
    if matches!(name.as_str(), "host" | "authorization" | "cookie" | "connection" | "content-length") {
        return Err(Wrong::new(
            format!("{} has a meaning of its own", quoted(text)),
            "choose another: \"X-Purge-Key\"",
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_enough_and_visible() {
        assert_eq!(parse("0123456789abcdef"), Ok("0123456789abcdef".into()));
        for text in ["", "short", "with a space", "ümlaut-ümlaut"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn field_names_are_tokens_without_a_meaning_of_their_own() {
        assert_eq!(field_name("X-Purge-Key"), Ok("x-purge-key".into()));
        for text in ["", "a b", "a:", "Host", "Authorization", "ä"] {
            assert!(field_name(text).is_err(), "{text:?}");
        }
    }
}
