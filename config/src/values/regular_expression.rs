//! Regular expressions of `refresh_pattern`.

use regex::RegexBuilder;

use super::{Wrong, quoted};

/// A regular expression that compiles.
pub(crate) fn parse(text: &str) -> Result<String, Wrong> {
    let Err(error) = RegexBuilder::new(text).build() else {
        return Ok(text.to_owned());
    };
    // The library shows the pattern again with a line of markers; the reason is its last line.
    let shown = error.to_string();
    let reason = shown.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
    let hint = if shown.contains("look-around") || shown.contains("backreferences") {
        "expressions run in linear time: look-around and backreferences are left out"
    } else {
        "a TOML string in single quotes needs no doubled backslashes: '\\.(css|js)$'"
    };
    Err(Wrong::new(format!("{} is not a regular expression: {reason}", quoted(text)), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compiles_is_taken_as_it_stands() {
        assert_eq!(parse(r"\.(css|js)$"), Ok(r"\.(css|js)$".into()));
    }

    #[test]
    fn what_does_not_compile_is_refused_with_the_reason() {
        assert!(parse("(a").unwrap_err().message.contains("unclosed group"));
        assert!(parse("(?=a)").unwrap_err().hint.unwrap().contains("linear time"));
        assert!(parse(r"\w{1000}{1000}{1000}").is_err());
    }
}
