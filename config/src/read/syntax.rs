//! Syntax errors of TOML in the words of the other mistakes.

/// Message and hint for what the parser says.
pub(crate) fn explain(message: &str) -> (String, Option<String>) {
    let hint = if message.contains("string values must be quoted") {
        "write it in quotes: word = \"value\""
    } else if message.contains("duplicate key") {
        "keep one of the two"
    } else if message.contains("recursion limit") {
        "nothing in this file nests that deep"
    } else if message.contains("unclosed array") {
        "an array ends with ]"
    } else if message.contains("unclosed inline table") {
        "an inline table ends with }"
    } else if message.contains("unclosed table") {
        "a table header is [name] or [[name]]"
    } else if message.contains("invalid basic string") || message.contains("invalid literal string") {
        "a string begins and ends with the same quote, on one line"
    } else if message.contains("escape") {
        "within single quotes a backslash stands for itself: '\\.css$'"
    } else if message.contains("key with no value") {
        "write word = value"
    } else {
        "the file is TOML: [table] headers and word = value lines"
    };
    (format!("syntax error: {message}"), Some(hint.to_owned()))
}
