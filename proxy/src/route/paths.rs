//! Many path rules, asked at once. A preset has fifty of them, most beneath any directory: asked one after the other, they
//! took longer than all the rest of a hit.

use forebay_cache::key::ByteSet;

use crate::site::PathRule;

/// Rules of which any may match.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathRules {
    /// To be asked one by one.
    others: Vec<PathRule>,
    /// Those beneath any directory, without that: by the bytes behind their first slash, and which the first of these are.
    anywhere: Vec<(Begin, PathRule)>,
    begins: ByteSet,
}

/// Enough to tell most rules of a preset from each other.
type Begin = [u8; 4];

impl PathRules {
    /// Of the words in the configuration: see [`PathRule::new`].
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a String>) -> Self {
        let mut rules = Self::default();
        for pattern in patterns {
            match PathRule::new(pattern) {
                PathRule::Anywhere(rule) => match begin(rule.text()) {
                    Some(begin @ [byte, ..]) => {
                        rules.anywhere.push((begin, *rule));
                        rules.begins.insert(byte);
                    }
                    None => rules.others.push(PathRule::Anywhere(rule)),
                },
                rule => rules.others.push(rule),
            }
        }
        rules.anywhere.sort_by_key(|(begin, _)| *begin);
        rules
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.others.iter().any(|rule| rule.matches(path))
            || (!self.anywhere.is_empty()
                && memchr::memchr_iter(b'/', path.as_bytes())
                    .any(|at| path.get(at..).is_some_and(|rest| self.begin_with(rest))))
    }

    /// `rest` begins with a slash.
    fn begin_with(&self, rest: &str) -> bool {
        let Some(begin @ [byte, ..]) = begin(rest) else { return false };
        if !self.begins.contains(byte) {
            return false;
        }
        let from = self.anywhere.partition_point(|(known, _)| *known < begin);
        let rules = self.anywhere.get(from..).unwrap_or_default();
        rules.iter().take_while(|(known, _)| *known == begin).any(|(_, rule)| rule.matches(rest))
    }
}

/// What stands behind the slash of `path`; `None` where that is too short.
fn begin(path: &str) -> Option<Begin> {
    path.as_bytes().get(1..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_at_once_they_say_what_each_says() {
        let patterns = ["/a/", "/b$", "*/wp-admin/", "*/wp-admin$", "*/wp-login.php", "*/cart$", "*/é", "*/x"];
        let patterns = patterns.map(str::to_owned);
        let rules = PathRules::new(&patterns);
        let single: Vec<_> = patterns.iter().map(|pattern| PathRule::new(pattern)).collect();
        let mut matched = 0;
        for start in ["", "/", "/a", "/b", "/blog", "/é", "/cart", "/x/y", "/wp-admin", "/shop/wp-adm"] {
            for end in
                ["", "/", "/wp-admin", "/wp-admin/x", "/wp-login.php", "/cart", "/cart/", "/ca", "/é", "in", "//x"]
            {
                let path = format!("{start}{end}");
                let one = single.iter().any(|rule| rule.matches(&path));
                assert_eq!(rules.matches(&path), one, "{path}");
                matched += usize::from(one);
            }
        }
        assert!((20..100).contains(&matched), "{matched}");
    }

    #[test]
    fn no_rules_match_nothing() {
        assert!(!PathRules::default().matches("/"));
    }

    #[test]
    fn beneath_any_directory_everything_matches_a_slash() {
        assert!(PathRules::new(&["*/".to_owned()]).matches("/x"));
    }
}
