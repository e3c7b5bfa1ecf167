//! Files of users and password hashes, as `htpasswd -B` writes them: `name:hash`, a line each.

use std::fs;
use std::path::Path;

use crate::values::{Wrong, quoted};

/// Largest file: tens of thousands of users.
const FILE_SIZE_MAX: u64 = 4 << 20;

/// Largest bcrypt cost: about ten seconds of a core for one password.
const BCRYPT_COST_MAX: u32 = 16;

/// A user and the hash of the password.
pub(crate) type User = (String, String);

/// The users of a file.
///
/// # Errors
///
/// It cannot be read, names nobody, or has a line that is not understood: the line is named, never its hash.
pub(crate) fn read(path: &Path) -> Result<Vec<User>, Wrong> {
    let shown = quoted(&path.to_string_lossy());
    let failed = |error: std::io::Error| Wrong::new(format!("{shown}: {error}"), "make it readable for Forebay");
    if fs::metadata(path).map_err(failed)?.len() > FILE_SIZE_MAX {
        return Err(Wrong::new(format!("{shown} is larger than 4 MiB"), "keep so many users in the application"));
    }
    parse(&fs::read_to_string(path).map_err(failed)?).map_err(|(line, message, hint)| {
        let place = if line == 0 { String::new() } else { format!(" line {line}:") };
        Wrong::new(format!("{shown}:{place} {message}"), hint)
    })
}

type Flaw = (usize, &'static str, &'static str);

fn parse(text: &str) -> Result<Vec<User>, Flaw> {
    const MAKE: &str = "make lines by `htpasswd -B FILE USER`, or hashes by `argon2`";
    let mut users: Vec<User> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, hash)) = line.split_once(':') else { return Err((number, "has no colon", MAKE)) };
        if name.is_empty() {
            return Err((number, "has no name", MAKE));
        }
        if !is_bcrypt(hash) && !is_argon2(hash) {
            return Err((number, "the hash is neither bcrypt nor argon2", MAKE));
        }
        if users.iter().any(|(known, _)| known == name) {
            return Err((number, "names a user for the second time", "keep one of the two"));
        }
        users.push((name.to_owned(), hash.to_owned()));
    }
    if users.is_empty() { Err((0, "names no user", MAKE)) } else { Ok(users) }
}

/// `$2y$10$` and 53 characters.
fn is_bcrypt(hash: &str) -> bool {
    let mut parts = hash.split('$').skip(1);
    let (version, cost, rest) = (parts.next(), parts.next(), parts.next());
    let cost = cost.filter(|cost| cost.len() == 2).and_then(|cost| cost.parse::<u32>().ok());
    hash.starts_with('$')
        && matches!(version, Some("2a" | "2b" | "2x" | "2y"))
        && cost.is_some_and(|cost| (4..=BCRYPT_COST_MAX).contains(&cost))
        && rest.is_some_and(|rest| rest.len() == 53 && rest.bytes().all(is_base64))
        && parts.next().is_none()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'+')
}

/// `$argon2id$v=19$m=65536,t=3,p=4$salt$hash`
fn is_argon2(hash: &str) -> bool {
    let parts: Vec<&str> = hash.split('$').collect();
    let &["", "argon2id" | "argon2i" | "argon2d", "v=19", params, salt, digest] = parts.as_slice() else {
        return false;
    };
    // 1 GiB and 64 passes: more would be an attack on this machine.
    let number = |name: &str| {
        let values = params.split(',').filter_map(|param| param.split_once('='));
        values.into_iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse::<u32>().ok())
    };
    number("m").is_some_and(|kib| (8..=1 << 20).contains(&kib))
        && number("t").is_some_and(|passes| (1..=64).contains(&passes))
        && number("p").is_some_and(|lanes| (1..=64).contains(&lanes))
        && [salt, digest].iter().all(|part| part.len() >= 11 && part.bytes().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
    const ARGON2: &str = "$argon2id$v=19$m=4096,t=3,p=1$c2FsdHNhbHQ$qLmlJ/wPX0Wxkx1NQ0M0mQ6TE3pQUIpQ3W6jXUl4qJ8";

    #[test]
    fn names_and_hashes_are_read() {
        let users = parse(&format!("# staff\nalice:{BCRYPT}\n\nbob:{ARGON2}\n")).unwrap();
        assert_eq!(users.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);
    }

    #[test]
    fn what_is_weak_or_malformed_is_named_by_its_line() {
        for (text, line) in [
            ("", 0),
            ("# nobody", 0),
            ("alice", 1),
            (":x", 1),
            ("\nalice:$apr1$salt$hash", 2),
            ("alice:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", 1),
            ("alice:$2y$31$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe", 1),
            ("alice:$2y$05$short", 1),
            ("alice:$argon2id$v=19$m=99999999,t=3,p=1$c2FsdHNhbHQ$qLmlJ/wPX0Wxkx1NQ0M0mQ", 1),
        ] {
            assert_eq!(parse(text).map_err(|(line, ..)| line), Err(line), "{text:?}");
        }
        assert_eq!(parse(&format!("a:{BCRYPT}\na:{BCRYPT}")).map_err(|(line, ..)| line), Err(2));
    }
}
