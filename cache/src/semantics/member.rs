//! The list syntax that `Cache-Control` and its kin share: `token [ "=" ( token / quoted-string ) ]`, comma separated.

use std::borrow::Cow;

/// Argument of a list member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    /// No `=`.
    Absent,
    /// The text after `=`, without its quotes and escapes if it was a quoted-string.
    Value(Cow<'a, [u8]>),
    /// Something follows the name that the grammar does not allow.
    Malformed,
}

/// Splits `line` into members and calls `each` with the name (as written) and argument of every one that has a name.
///
/// A quoted-string that never ends is not one: the line is then split at the next comma all the same, so that a stray
/// quote cannot hide the directives that follow it.
pub(super) fn for_each_member<'a>(line: &'a [u8], mut each: impl FnMut(&'a [u8], Argument<'a>)) {
    for member in split_list(line) {
        let end = member.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(member.len());
        let (name, rest) = member.split_at_checked(end).unwrap_or((member, &[]));
        if name.is_empty() {
            continue;
        }
        each(name, argument(rest));
    }
}

/// Splits a list at the commas outside quoted-strings; members come without the whitespace around them, empty ones not.
pub(super) fn split_list(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    // Where one quoted-string never ends, none after it does: it is not looked for again, or a line of stray quotes would
    // be scanned to its end for each of them.
    let mut quotes = true;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = member_end(rest, &mut quotes);
            let (member, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = tail.get(1..).unwrap_or(&[]);
            let member = member.trim_ascii();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    })
}

/// Index of the comma that ends the first member of `text`, or its length. `quotes` turns false where a quoted-string
/// never ends, and quotes are ordinary bytes from there on.
fn member_end(text: &[u8], quotes: &mut bool) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b',' {
            return at;
        }
        let quoted = if byte == b'"' && *quotes { text.get(at..).and_then(quoted_len) } else { None };
        *quotes &= byte != b'"' || quoted.is_some();
        at += quoted.unwrap_or(1);
    }
    text.len()
}

/// Length of the quoted-string `text` begins with, quotes included; `None` if it never ends.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn argument(rest: &[u8]) -> Argument<'_> {
    let Some((&first, value)) = rest.split_first() else { return Argument::Absent };
    if first != b'=' {
        return Argument::Malformed;
    }
    if value.first() == Some(&b'"') {
        return match quoted_len(value) {
            Some(len) if len == value.len() => Argument::Value(unquote(value)),
            _ => Argument::Malformed,
        };
    }
    if !value.is_empty() && value.iter().all(|&byte| is_token_byte(byte)) {
        return Argument::Value(Cow::Borrowed(value));
    }
    Argument::Malformed
}

/// Contents of a whole quoted-string.
fn unquote(quoted: &[u8]) -> Cow<'_, [u8]> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(&[]);
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

/// RFC 9110 section 5.6.2 `tchar`.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(line: &str) -> Vec<(String, Argument<'_>)> {
        let mut all = Vec::new();
        for_each_member(line.as_bytes(), |name, argument| {
            all.push((String::from_utf8_lossy(name).into_owned(), argument))
        });
        all
    }

    fn value(text: &str) -> Argument<'static> {
        Argument::Value(Cow::Owned(text.as_bytes().to_vec()))
    }

    #[test]
    fn commas_and_escapes_inside_quotes_do_not_split() {
        let got = members(r#"a="x, \"y\", z" ,, b=1, c"#);
        assert_eq!(
            got,
            [("a".into(), value(r#"x, "y", z"#)), ("b".into(), value("1")), ("c".into(), Argument::Absent)]
        );
    }

    #[test]
    fn a_quote_that_never_ends_does_not_hide_what_follows() {
        let got = members(r#"a="x, no-store"#);
        assert_eq!(got, [("a".into(), Argument::Malformed), ("no-store".into(), Argument::Absent)]);
        assert_eq!(members("a=\"x\\"), [("a".into(), Argument::Malformed)]);
    }

    #[test]
    fn a_line_of_stray_quotes_takes_linear_time() {
        // Scanned to its end for each quote, this would be 2^36 steps: longer than any test may take.
        let line = format!("\"{}", "\\\",".repeat(1 << 18));
        assert_eq!(split_list(line.as_bytes()).count(), 1 << 18);
    }

    #[test]
    fn whitespace_around_equals_is_malformed() {
        assert_eq!(
            members("a =1, b= 1, c=, d=\"1\"x"),
            ["a", "b", "c", "d"].map(|name| (name.into(), Argument::Malformed))
        );
    }
}
