//! Names of cookies and query parameters, with a `*` at the end for any ending.

use super::{Wrong, quoted};

/// A cookie name (a token of RFC 9110, section 5.6.2), or the begin of one and `*`.
pub(crate) fn cookie(text: &str) -> Result<String, Wrong> {
    let name = without_star(text)?;
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte)) {
        Ok(text.to_owned())
    } else {
        let hint = "write the name alone, without = and value: \"wordpress_logged_in_*\"";
        Err(Wrong::new(format!("{} is not a cookie name", quoted(text)), hint))
    }
}

/// The name of a query parameter, or the begin of one and `*`.
pub(crate) fn parameter(text: &str) -> Result<String, Wrong> {
    let name = without_star(text)?;
    if name.contains('=') || !is_query(name) {
        let hint = "write the name alone, as it stands in the URL: \"utm_*\"";
        return Err(Wrong::new(format!("{} is not the name of a query parameter", quoted(text)), hint));
    }
    Ok(text.to_owned())
}

/// The name of a query parameter, or `name=value`.
pub(crate) fn parameter_value(text: &str) -> Result<String, Wrong> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() || text.contains('*') || value.contains('=') || !is_query(name) || !is_query(value) {
        let hint = "write a name, or name=value, as it stands in the URL: \"preview\", \"preview=true\"";
        return Err(Wrong::new(format!("{} is not a query parameter", quoted(text)), hint));
    }
    Ok(text.to_owned())
}

/// The name of a field (a token of RFC 9110, section 5.6.2), in lower case.
pub(crate) fn field(text: &str) -> Result<String, Wrong> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        let hint = "write the name alone, without colon and value: \"X-Requested-With\"";
        return Err(Wrong::new(format!("{} is not the name of a field", quoted(text)), hint));
    }
    Ok(text.to_ascii_lowercase())
}

/// The text without its trailing star; a star elsewhere and an empty text are refused.
fn without_star(text: &str) -> Result<&str, Wrong> {
    let name = text.strip_suffix('*').unwrap_or(text);
    if text.is_empty() {
        return Err(Wrong::new("a name is empty", "remove it, or write \"*\" for any name"));
    }
    if name.contains('*') {
        return Err(Wrong::new(format!("{} has a * within", quoted(text)), "a * can stand at the end alone"));
    }
    Ok(name)
}

/// Whether the characters can stand in a query as one name or value: visible ASCII without `&`, `?`, `#`.
fn is_query(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"&?#".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_at_the_end_alone() {
        for parse in [cookie, parameter] {
            assert!(parse("utm_*").is_ok());
            assert!(parse("*").is_ok());
            assert!(parse("a*b").is_err());
            assert!(parse("**").is_err());
            assert!(parse("").is_err());
        }
        assert!(parameter_value("utm_*").is_err());
    }

    #[test]
    fn a_cookie_is_named_without_its_value() {
        assert!(cookie("PHPSESSID=abc").is_err());
        assert!(cookie("a;b").is_err());
        assert!(cookie("é").is_err());
    }

    #[test]
    fn a_field_is_named_in_lower_case_without_its_value() {
        assert_eq!(field("X-Requested-With"), Ok("x-requested-with".into()));
        for text in ["", "X-A: b", "X A", "X-*", "é"] {
            assert!(field(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_parameter_may_have_a_value_where_values_are_compared() {
        assert!(parameter_value("preview=true").is_ok());
        assert!(parameter_value("preview").is_ok());
        assert!(parameter("preview=true").is_err());
        for text in ["", "=x", "?a", "a&b", "a b", "a=b=c"] {
            assert!(parameter_value(text).is_err(), "{text:?}");
        }
    }
}
