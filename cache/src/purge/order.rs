//! What is to be purged, as data: it is written to the journal, and can be sent to other nodes.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Longest path, prefix or URL, bytes; no request target comes near it.
const MAX_TARGET: usize = 16 << 10;
/// Longest regular expression, bytes.
const MAX_REGEX: usize = 1024;
/// Memory a compiled expression may take, bytes.
const REGEX_SIZE: usize = 256 << 10;
/// Tags one purge may name, and bytes of all of them.
const MAX_TAGS: usize = 4096;
const MAX_TAG_BYTES: usize = 64 << 10;

/// Where a purge reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One host, in lower case, without port: on http and https and on every port.
    Host(String),
    /// All hosts.
    Everywhere,
}

/// What of it is purged. Paths are percent-encoded as in a cache key; a query is compared as it stands in the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// One path and query, `/a?b`, in all variants.
    Url(String),
    /// One path, whatever its query.
    Page(String),
    /// All whose path and query begin so.
    Prefix(String),
    /// All whose path and query match this expression from their beginning on.
    Regex(String),
    /// All that carry one of these tags.
    Tags(Vec<String>),
    /// All of it.
    Everything,
}

/// A purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// Where.
    pub scope: Scope,
    /// What.
    pub what: What,
    /// Soft: what is purged becomes stale, and may be used as stale responses may until it has been validated. Hard: it is
    /// never used again.
    #[serde(default)]
    pub soft: bool,
}

/// A purge that cannot be done as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// The expression does not compile.
    #[error("not a regular expression: {0}")]
    Regex(String),
    /// The expression is too long, or too large when compiled.
    #[error("the regular expression is too large")]
    RegexSize,
    /// No tag, too many, or too long ones.
    #[error("a purge by tag names 1 to 4096 tags, 64 KiB of them at most")]
    Tags,
    /// A path that does not begin with `/`, or is too long.
    #[error("what is purged begins with `/` and is at most 16 KiB long")]
    Target,
}

// === impl What ===

impl What {
    /// What an expression stands for: those that plugins write for a whole host or a subtree are no expressions any more.
    ///
    /// # Errors
    ///
    /// The expression cannot be used.
    pub fn of_regex(expression: &str) -> Result<Self, PurgeError> {
        let bare = expression.strip_prefix('^').unwrap_or(expression);
        let bare = bare.strip_suffix('$').filter(|bare| bare.ends_with(".*")).unwrap_or(bare);
        let bare = bare.strip_prefix("(.*)").map_or(bare, |rest| if rest.is_empty() { ".*" } else { bare });
        if matches!(bare, ".*" | "/.*" | "/" | "" | ".") {
            return Ok(Self::Everything);
        }
        if let Some(prefix) = bare.strip_suffix(".*")
            && prefix.starts_with('/')
            && !has_metacharacters(prefix)
        {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        compile(expression).map(|_| Self::Regex(expression.to_owned()))
    }
}

/// Whether `text` has a character that means something else than itself in an expression.
#[must_use]
pub fn has_metacharacters(text: &str) -> bool {
    text.contains(['\\', '^', '$', '.', '|', '?', '*', '+', '(', ')', '[', ']', '{', '}'])
}

// === impl Purge ===

impl Purge {
    /// The word for its kind, for metrics, logs and answers.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match (&self.what, &self.scope) {
            (What::Url(_) | What::Page(_), _) => "url",
            (What::Prefix(_), _) => "prefix",
            (What::Regex(_), _) => "regex",
            (What::Tags(_), _) => "tag",
            (What::Everything, Scope::Host(_)) => "host",
            (What::Everything, Scope::Everywhere) => "all",
        }
    }

    /// Checks it, and compiles its expression where it has one.
    pub(super) fn prepare(&self) -> Result<Option<Regex>, PurgeError> {
        match &self.what {
            What::Url(target) | What::Page(target) | What::Prefix(target) => {
                let sound = target.starts_with('/') && target.len() <= MAX_TARGET;
                if sound { Ok(None) } else { Err(PurgeError::Target) }
            }
            What::Regex(expression) => compile(expression).map(Some),
            What::Tags(tags) => {
                let bytes: usize = tags.iter().map(String::len).sum();
                let sound = (1..=MAX_TAGS).contains(&tags.len()) && bytes <= MAX_TAG_BYTES;
                let sound = sound && tags.iter().all(|tag| !tag.is_empty());
                if sound { Ok(None) } else { Err(PurgeError::Tags) }
            }
            What::Everything => Ok(None),
        }
    }

    /// Whether it can be done.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), PurgeError> {
        self.prepare().map(drop)
    }
}

/// Linear in the length of what it is matched against, whatever it says (the library's promise), and bounded in size.
fn compile(expression: &str) -> Result<Regex, PurgeError> {
    if expression.is_empty() || expression.len() > MAX_REGEX {
        return Err(PurgeError::RegexSize);
    }
    // By itself first: `a)|(b` must not become whole by the group around it.
    build(expression)?;
    build(&format!("^(?:{expression})"))
}

fn build(expression: &str) -> Result<Regex, PurgeError> {
    let built = RegexBuilder::new(expression).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_SIZE).nest_limit(50).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PurgeError::RegexSize,
        other => PurgeError::Regex(
            other.to_string().lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_for_all_and_for_a_subtree_are_known() {
        for all in [".*", "/.*", "^/.*", "^/.*$", "(.*)", "/"] {
            assert_eq!(What::of_regex(all), Ok(What::Everything), "{all}");
        }
        assert_eq!(What::of_regex("/blog/.*"), Ok(What::Prefix("/blog/".to_owned())));
        assert_eq!(What::of_regex("^/blog/.*$"), Ok(What::Prefix("/blog/".to_owned())));
        for expression in ["/feed.xml.*", "/a|/b.*", "/[ab].*", "/sitemap(_index)?\\.xml$", ".*\\.css"] {
            assert_eq!(What::of_regex(expression), Ok(What::Regex(expression.to_owned())), "{expression}");
        }
    }

    #[test]
    fn broken_and_costly_expressions_are_refused() {
        for broken in ["(", "[a", "a)|(b", "*", "/x{2,1}", "(?=a)", "\\1"] {
            assert!(matches!(What::of_regex(broken), Err(PurgeError::Regex(_))), "{broken}");
        }
        assert_eq!(What::of_regex("/\\w{500}{500}"), Err(PurgeError::RegexSize));
        assert_eq!(What::of_regex(&format!("/{}", "(a)".repeat(2000))), Err(PurgeError::RegexSize));
    }

    #[test]
    fn a_purge_is_read_back_as_it_was_written() {
        let purge =
            Purge { scope: Scope::Host("a.test".to_owned()), what: What::Tags(vec!["p-1".to_owned()]), soft: true };
        assert_eq!(postcard::from_bytes::<Purge>(&postcard::to_allocvec(&purge).unwrap()), Ok(purge));
    }

    #[test]
    fn targets_and_tags_are_bounded() {
        let check = |what| Purge { scope: Scope::Everywhere, what, soft: false }.check();
        assert_eq!(check(What::Url("x".to_owned())), Err(PurgeError::Target));
        assert_eq!(check(What::Prefix(format!("/{}", "x".repeat(MAX_TARGET)))), Err(PurgeError::Target));
        assert_eq!(check(What::Tags(Vec::new())), Err(PurgeError::Tags));
        assert_eq!(check(What::Tags(vec!["x".repeat(100 << 10)])), Err(PurgeError::Tags));
        assert_eq!(check(What::Tags(vec!["p-1".to_owned()])), Ok(()));
    }
}
