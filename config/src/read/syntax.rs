//! Syntax errors of TOML in the words of the other mistakes.

/// Message and hint for what the parser says of `text`.
pub(crate) fn explain(message: &str, text: &str) -> (String, String) {
    let hint = if message.contains(UNQUOTED) {
        return unquoted(text);
    } else if message == DUPLICATE {
        return (format!("duplicate key `{text}`"), "keep one of the two".to_owned());
    } else if message.contains("recurs") {
        "nothing in this file nests that deep"
    } else if message.contains("unclosed array table") || message.contains("unclosed table") {
        "a table header is [name] or [[name]]"
    } else if message.contains("unclosed array") {
        "close the array before this with ]"
    } else if message.contains("unclosed inline table") {
        "close the table before this with }"
    } else if message.contains("basic string") || message.contains("literal string") {
        "a string begins and ends with the same quote, on one line"
    } else if message.contains("escape") {
        "within single quotes a backslash stands for itself: '\\.css$'"
    } else if message.contains("key with no value") {
        "write word = value"
    } else if ["float", "integer", "number", "date", "time"].iter().any(|kind| message.contains(kind)) {
        "whatever is no plain number is written in quotes: \"127.0.0.1:80\", \"30s\""
    } else {
        "the file is TOML: [table] headers and word = value lines"
    };
    (format!("syntax error: {message}"), hint.to_owned())
}

/// What the parser says of a word without quotes.
const UNQUOTED: &str = "string values must be quoted";
/// What the parser says of a word given twice.
pub(crate) const DUPLICATE: &str = "duplicate key";

fn unquoted(text: &str) -> (String, String) {
    if text.is_empty() {
        return ("syntax error: a value is missing".to_owned(), "write word = value".to_owned());
    }
    let hint = match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => "write true, or the word in quotes where it is one".to_owned(),
        "no" | "off" | "false" => "write false, or the word in quotes where it is one".to_owned(),
        _ => format!("write it in quotes: {text:?}"),
    };
    ("syntax error: a string without quotes".to_owned(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of the first syntax error of a text.
    fn explained(text: &str) -> (String, String) {
        let (_, errors) = toml::de::DeTable::parse_recoverable(text);
        let error = errors.first().unwrap();
        explain(error.message(), error.span().and_then(|span| text.get(span)).unwrap_or_default())
    }

    // The words compared with are those of a library: a new version that says it otherwise is seen here.
    #[test]
    fn the_words_of_the_parser_are_known() {
        assert_eq!(explained("a = b").1, "write it in quotes: \"b\"");
        assert_eq!(explained("a = yes").1, "write true, or the word in quotes where it is one");
        assert_eq!(explained("a =\n").0, "syntax error: a value is missing");
        assert_eq!(explained("a = 1\na = 2").0, "duplicate key `a`");
        assert_eq!(explained("[a\n").1, "a table header is [name] or [[name]]");
        assert_eq!(explained("a = [1").1, "close the array before this with ]");
        assert_eq!(explained("a = { b = 1").1, "close the table before this with }");
        assert_eq!(explained("a = \"x").1, "a string begins and ends with the same quote, on one line");
        assert_eq!(explained("a = \"\\.css\"").1, "within single quotes a backslash stands for itself: '\\.css$'");
        assert_eq!(explained("a").1, "write word = value");
        assert!(explained("a = 1.2.3").1.starts_with("whatever is no plain number"));
        assert_eq!(explained(&format!("a = {}", "[".repeat(500))).1, "nothing in this file nests that deep");
    }
}
