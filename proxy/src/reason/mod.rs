//! Every reason code in one place: what it means, and what to change where the outcome is not what was wanted.
//!
//! The codes are made where the decisions are made (a stage, storability, a fetch) and travel as `&'static str` into
//! `Cache-Status`, the access log, `forebay top` and `forebay explain`. The table in the documents is this one; a test
//! compares the two, and another finds every code that the sources make and this table does not know.

mod pass;
mod refused;
mod stored;
mod upstream;

use std::fmt::Write as _;

/// Which decision a code is of. The same word may be a code of two: a method keeps a request from the cache, and a
/// response from being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `fwd=` of `Cache-Status`: why a request was forwarded (RFC 9211 section 2.2).
    Forward,
    /// Where a hit came from.
    Hit,
    /// Why a request did not use the cache.
    Pass,
    /// Why a response was not stored.
    NotStored,
    /// Why no response came from an upstream.
    Upstream,
    /// Why a request was refused.
    Refused,
}

/// One code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reason {
    pub(crate) kind: Kind,
    /// Kebab-case, as logs and `Cache-Status` have it.
    pub(crate) code: &'static str,
    /// What it says, a sentence.
    pub(crate) sentence: &'static str,
    /// What to do about it, a sentence; empty where nothing is wrong.
    pub(crate) change: &'static str,
}

// === impl Reason ===

impl Reason {
    /// As `forebay reasons --json` and `forebay explain --json` have it.
    pub(crate) fn to_json(self) -> serde_json::Value {
        serde_json::json!({
            "kind": self.kind.word(), "code": self.code, "sentence": self.sentence, "change": self.change,
        })
    }
}

/// Code, sentence, change.
type Row = (&'static str, &'static str, &'static str);

impl Kind {
    const ALL: [(Self, &'static [Row]); 6] = [
        (Self::Forward, pass::FORWARD),
        (Self::Hit, stored::HIT),
        (Self::Pass, pass::PASS),
        (Self::NotStored, stored::NOT_STORED),
        (Self::Upstream, upstream::UPSTREAM),
        (Self::Refused, refused::REFUSED),
    ];

    /// The word of JSON.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Hit => "hit",
            Self::Pass => "pass",
            Self::NotStored => "not-stored",
            Self::Upstream => "upstream",
            Self::Refused => "refused",
        }
    }

    const fn heading(self) -> &'static str {
        match self {
            Self::Forward => "Why a request was forwarded (`fwd=`)",
            Self::Hit => "Where a hit came from",
            Self::Pass => "Why a request did not use the cache",
            Self::NotStored => "Why a response was not stored",
            Self::Upstream => "Why no response came from an upstream",
            Self::Refused => "Why a request was refused",
        }
    }
}

/// Every code, in the order of the documents.
pub(crate) fn all() -> impl Iterator<Item = Reason> {
    Kind::ALL.into_iter().flat_map(|(kind, rows)| {
        rows.iter().map(move |(code, sentence, change)| Reason { kind, code, sentence, change })
    })
}

/// What is known of a code as a decision of this kind.
pub(crate) fn find(kind: Kind, code: &str) -> Option<Reason> {
    all().find(|reason| reason.kind == kind && reason.code == code)
}

/// The table as it stands in the documents.
pub(crate) fn markdown() -> String {
    let mut text = String::new();
    for (kind, _) in Kind::ALL {
        let _ = write!(text, "### {}\n\n| Code | Meaning | What to change |\n|---|---|---|\n", kind.heading());
        for reason in all().filter(|reason| reason.kind == kind) {
            let _ = writeln!(text, "| `{}` | {} | {} |", reason.code, reason.sentence, reason.change);
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_cache::semantics::Reason as NotStored;

    #[test]
    fn every_code_stands_once_among_its_kind_and_is_explained() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in all() {
            assert!(seen.insert((reason.kind.word(), reason.code)), "{} stands twice", reason.code);
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
            assert!(reason.code.bytes().all(plain), "{}", reason.code);
            assert!(reason.sentence.ends_with('.'), "{}: {}", reason.code, reason.sentence);
            assert!(
                reason.change.is_empty() || reason.change.ends_with(['.', '?']),
                "{}: {}",
                reason.code,
                reason.change
            );
            assert!(!reason.sentence.contains('|') && !reason.change.contains('|'), "{}", reason.code);
        }
        assert!(seen.len() > 90, "{}", seen.len());
    }

    #[test]
    fn reasons_of_storability_are_known() {
        for reason in NotStored::ALL {
            let known = all().any(|other| other.kind == Kind::NotStored && other.code == reason.as_str());
            assert!(known, "{reason}");
        }
    }
}
