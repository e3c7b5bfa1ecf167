//! Doctor: visits a site as its visitors do, and says in words what is good and what is wrong.
//!
//! It sees what anybody sees: nothing is asked of the admin listener, and whatever stands in front is visited too.

mod checks;
mod visit;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

pub(crate) use self::visit::Ports;
use self::visit::Visitor;

/// How a check ended, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Good,
    /// It could not be told, or does not apply.
    Note,
    /// It costs something.
    Warning,
    /// Somebody sees what he must not see, or the site does not work.
    Wrong,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    /// What was seen.
    pub(crate) seen: String,
    /// What to do about it; empty where nothing is.
    pub(crate) hint: String,
}

/// Where to go, and how.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// `https://www.example.com/`
    pub(crate) url: String,
    pub(crate) names: HashMap<String, IpAddr>,
    pub(crate) insecure: bool,
    pub(crate) ports: Ports,
}

/// All checks of one site.
#[derive(Debug, Serialize)]
pub(crate) struct Examination {
    pub(crate) url: String,
    pub(crate) worst: Severity,
    pub(crate) checks: Vec<Check>,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

impl Check {
    fn new(name: &'static str, severity: Severity, seen: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, severity, seen: seen.into(), hint: hint.into() }
    }

    fn good(name: &'static str, seen: impl Into<String>) -> Self {
        Self::new(name, Severity::Good, seen, "")
    }
}

// === impl Examination ===

impl Examination {
    /// Visits the site.
    pub(crate) fn of(visit: &Visit) -> Self {
        let visitor = Visitor::new(visit.names.clone(), visit.ports, visit.insecure);
        let (url, checks) = checks::all(&visitor, &visit.url);
        let worst = checks.iter().map(|check| check.severity).max().unwrap_or(Severity::Wrong);
        Self { url, worst, checks }
    }

    /// For a person at a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.url);
        for check in &self.checks {
            let _ = writeln!(text, "{:>8}  {}: {}", check.severity.word(), check.name, check.seen);
            if !check.hint.is_empty() {
                let _ = writeln!(text, "          {}", check.hint);
            }
        }
        let count = |severity| self.checks.iter().filter(|check| check.severity == severity).count();
        let _ = writeln!(
            text,
            "\n{} good, {} notes, {} warnings, {} wrong",
            count(Severity::Good),
            count(Severity::Note),
            count(Severity::Warning),
            count(Severity::Wrong)
        );
        text
    }
}
