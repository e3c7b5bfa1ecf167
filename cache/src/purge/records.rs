//! The records of one scope, each the numbers of its last purges.

use std::collections::BTreeMap;
use std::ops::Bound;

use ahash::AHashMap;
use regex::Regex;

use super::order::{Purge, Scope, What};
use crate::semantics::surrogate_key::ALL_TAGS;

/// Expressions kept in one scope. With one more, the scope is purged as a whole: each would have to be tried on each
/// response.
const MOST_REGEXES: usize = 64;

/// Numbers of the last hard and the last soft purge; 0: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) hard: u64,
    pub(super) soft: u64,
}

impl Generation {
    fn note(&mut self, soft: bool, number: u64) {
        let place = if soft { &mut self.soft } else { &mut self.hard };
        *place = number.max(*place);
    }

    fn latest(self) -> u64 {
        self.hard.max(self.soft)
    }

    /// Forgets purges up to these numbers; whether any is left.
    fn retire(&mut self, hard: u64, soft: u64) -> bool {
        if self.hard <= hard {
            self.hard = 0;
        }
        if self.soft <= soft {
            self.soft = 0;
        }
        self.latest() > 0
    }
}

/// A response as the records see it.
pub(super) struct Subject<'a> {
    /// Only purges after this one count.
    pub(super) since: u64,
    pub(super) path: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// Empty, too, while they are not known.
    pub(super) tags: &'a [Box<str>],
}

/// What the records say of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pub(super) hard: bool,
    /// Number of the last soft purge that concerns it; 0: none.
    pub(super) soft: u64,
}

impl Found {
    fn add(&mut self, generation: Generation, since: u64) {
        self.hard |= generation.hard > since;
        if generation.soft > since {
            self.soft = self.soft.max(generation.soft);
        }
    }
}

#[derive(Debug)]
struct Expression {
    regex: Regex,
    generation: Generation,
}

/// The records of one host, or of all.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Number of the last purge of any kind.
    latest: u64,
    whole: Generation,
    urls: AHashMap<Box<str>, Generation>,
    pages: AHashMap<Box<str>, Generation>,
    tags: AHashMap<Box<str>, Generation>,
    /// Of any tag: for responses that had too many of them.
    any_tag: Generation,
    prefixes: BTreeMap<Box<str>, Generation>,
    regexes: BTreeMap<Box<str>, Expression>,
}

impl Records {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        usize::from(self.whole.latest() > 0)
            + self.urls.len()
            + self.pages.len()
            + self.tags.len()
            + self.prefixes.len()
            + self.regexes.len()
    }

    /// Notes a purge; whether it had to be widened to all of the scope.
    pub(super) fn note(&mut self, what: &What, regex: Option<Regex>, soft: bool, number: u64) -> bool {
        self.latest = self.latest.max(number);
        match (what, regex) {
            (What::Url(target), _) => entry(&mut self.urls, target).note(soft, number),
            (What::Page(path), _) => entry(&mut self.pages, path).note(soft, number),
            (What::Prefix(prefix), _) => {
                self.prefixes.entry(prefix.as_str().into()).or_default().note(soft, number);
            }
            (What::Regex(text), Some(regex)) => {
                if self.regexes.len() >= MOST_REGEXES && !self.regexes.contains_key(text.as_str()) {
                    self.widen(number);
                    return true;
                }
                let new = || Expression { regex, generation: Generation::default() };
                self.regexes.entry(text.as_str().into()).or_insert_with(new).generation.note(soft, number);
            }
            (What::Tags(tags), _) => {
                self.any_tag.note(soft, number);
                for tag in tags {
                    entry(&mut self.tags, tag).note(soft, number);
                }
            }
            (What::Everything | What::Regex(_), _) => self.whole.note(soft, number),
        }
        false
    }

    /// One hard purge of everything takes the place of all records.
    pub(super) fn widen(&mut self, number: u64) {
        let whole = Generation { hard: number, soft: 0 };
        *self = Self { latest: number.max(self.latest), whole, ..Self::default() };
    }

    /// Adds what the records say of `subject`.
    pub(super) fn judge(&self, subject: &Subject<'_>, found: &mut Found) {
        let since = subject.since;
        if self.latest <= since {
            return;
        }
        found.add(self.whole, since);
        let mut add = |generation: Option<&Generation>| {
            if let Some(generation) = generation {
                found.add(*generation, since);
            }
        };
        add(self.urls.get(subject.target));
        add(self.pages.get(subject.path));
        if self.any_tag.latest() > since {
            for tag in subject.tags {
                add(self.tags.get(tag));
                add((**tag == *ALL_TAGS).then_some(&self.any_tag));
            }
        }
        self.each_prefix(subject.target, &mut add);
        for expression in self.regexes.values().filter(|expression| expression.generation.latest() > since) {
            add(expression.regex.is_match(subject.target).then_some(&expression.generation));
        }
    }

    /// The prefixes of `target`, longest first. What lies between two of them is jumped over.
    fn each_prefix(&self, target: &str, add: &mut impl FnMut(Option<&Generation>)) {
        let mut bound = Bound::Included(target);
        while let Some((prefix, generation)) = self.prefixes.range::<str, _>((Bound::Unbounded, bound)).next_back() {
            let common = common_prefix(prefix, target);
            bound = if common == prefix.len() {
                add(Some(generation));
                Bound::Excluded(target.get(..common).unwrap_or_default())
            } else {
                Bound::Included(target.get(..common).unwrap_or_default())
            };
        }
    }

    /// Forgets purges up to these numbers; whether any is left.
    pub(super) fn retire(&mut self, hard: u64, soft: u64) -> bool {
        self.whole.retire(hard, soft);
        for map in [&mut self.urls, &mut self.pages, &mut self.tags] {
            map.retain(|_, generation| generation.retire(hard, soft));
            // A burst leaves a table behind that is much larger than what is in it.
            map.shrink_to_fit();
        }
        self.any_tag.retire(hard, soft);
        self.prefixes.retain(|_, generation| generation.retire(hard, soft));
        self.regexes.retain(|_, expression| expression.generation.retire(hard, soft));
        self.len() > 0
    }

    /// The records as purges again, with their numbers.
    pub(super) fn purges(&self, scope: &Scope, out: &mut Vec<(u64, Purge)>) {
        let mut tell = |generation: Generation, what: &dyn Fn() -> What| {
            for (number, soft) in [(generation.hard, false), (generation.soft, true)] {
                if number > 0 {
                    out.push((number, Purge { scope: scope.clone(), what: what(), soft }));
                }
            }
        };
        tell(self.whole, &|| What::Everything);
        for (target, generation) in &self.urls {
            tell(*generation, &|| What::Url(target.to_string()));
        }
        for (path, generation) in &self.pages {
            tell(*generation, &|| What::Page(path.to_string()));
        }
        for (tag, generation) in &self.tags {
            tell(*generation, &|| What::Tags(vec![tag.to_string()]));
        }
        for (prefix, generation) in &self.prefixes {
            tell(*generation, &|| What::Prefix(prefix.to_string()));
        }
        for (text, expression) in &self.regexes {
            tell(expression.generation, &|| What::Regex(text.to_string()));
        }
    }
}

fn entry<'m>(map: &'m mut AHashMap<Box<str>, Generation>, key: &str) -> &'m mut Generation {
    map.entry(key.into()).or_default()
}

/// Length of what both begin with, on a character's boundary.
fn common_prefix(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    (0..=same).rev().find(|length| b.is_char_boundary(*length)).unwrap_or(0)
}
