//! Prefixes of request paths: `"/wp-admin/"`, and with `$` at the end the whole path: `"/index.php$"`. With `*` in front
//! beneath any directory: `"*/wp-admin/"`.

use super::{Wrong, quoted};

/// A prefix alone.
pub(crate) fn prefix(text: &str) -> Result<String, Wrong> {
    checked(text, text)
}

/// The prefix a route is for, or with `$` at the end the whole path.
pub(crate) fn route(text: &str) -> Result<String, Wrong> {
    checked(text, text.strip_suffix('$').unwrap_or(text))
}

/// A prefix, or with `$` at the end the whole path, of requests that pass the cache; with `*` in front beneath any directory.
pub(crate) fn bypass(text: &str) -> Result<String, Wrong> {
    let path = text.strip_prefix('*').filter(|path| path.starts_with('/')).unwrap_or(text);
    checked(text, path.strip_suffix('$').unwrap_or(path))
}

fn checked(text: &str, path: &str) -> Result<String, Wrong> {
    let wrong = |message: &str, hint: String| Err(Wrong::new(format!("{} {message}", quoted(text)), hint));
    if !path.starts_with('/') {
        return wrong("does not begin with /", format!("write {}", quoted(&format!("/{text}"))));
    }
    if let Some(plain) = path.strip_suffix('*') {
        return wrong("ends in *", format!("a path stands for all that begins with it: {}", quoted(plain)));
    }
    if path.contains(['?', '#', '*', '$', '\\']) || path.bytes().any(|byte| !byte.is_ascii_graphic()) {
        let hint = "write a path as it stands in a request, without query: \"/wp-admin/\"";
        return wrong("is not a path", hint.to_owned());
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains("//") {
        return wrong("has an empty segment or one of dots", "write the path these lead to".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_a_slash_and_has_no_query() {
        assert!(prefix("/").is_ok());
        assert!(prefix("/wp-json/wc/").is_ok());
        for text in ["", "api/", "/a?b", "/a#b", "/a b", "/é", "/a/../b", "/./", "//", "/api/*", "/a*b", "/x$"] {
            assert!(prefix(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_dollar_at_the_end_means_the_whole_path() {
        assert_eq!(bypass("/index.php$"), Ok("/index.php$".into()));
        assert!(bypass("/a$b").is_err());
        assert!(bypass("$").is_err());
    }

    #[test]
    fn a_star_in_front_means_beneath_any_directory() {
        assert_eq!(bypass("*/wp-admin/"), Ok("*/wp-admin/".into()));
        assert_eq!(bypass("*/wp-admin$"), Ok("*/wp-admin$".into()));
        for text in ["*", "*wp-admin/", "**/wp-admin/", "*//a/", "*/a/*"] {
            assert!(bypass(text).is_err(), "{text:?}");
        }
    }
}
