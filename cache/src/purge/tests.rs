use super::*;
use crate::semantics::testing::{Case, T0, at};

/// Random enough, and the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % limit
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const HOSTS: [&str; 3] = ["a.test", "b.test", "[::1]"];
const AUTHORITIES: [&str; 5] = ["a.test", "a.test:8080", "b.test", "[::1]", "[::1]:81"];
const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/b", "/é"];
const QUERIES: [Option<&str>; 4] = [None, Some(""), Some("p=1"), Some("p=12")];
const TAGS: [&str; 5] = ["p-1", "p-12", "home", "t-3", ALL];
const ALL: &str = crate::semantics::surrogate_key::ALL_TAGS;
const REGEXES: [&str; 6] = ["/a", "/a/.+", ".*p=1$", "/(a|b)$", "^/[^b]*$", "/a\\?p=1"];

fn stored(tags: &[&str], stamp: u64) -> StoredResponse {
    Case::response(&[("Cache-Control", "max-age=60"), ("xkey", &tags.join(" "))]).stored().stamped(stamp)
}

fn target(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// What a purge means, spelled out.
fn concerns(purge: &Purge, host: &str, path: &str, query: Option<&str>, tags: &[&str]) -> bool {
    let target = target(path, query);
    let in_scope = match &purge.scope {
        Scope::Host(name) => name == host,
        Scope::Everywhere => true,
    };
    in_scope
        && match &purge.what {
            What::Url(url) => *url == target,
            What::Page(page) => page == path,
            What::Prefix(prefix) => target.starts_with(prefix.as_str()),
            What::Regex(regex) => regex::Regex::new(&format!("^(?:{regex})")).unwrap().is_match(&target),
            What::Tags(purged) => tags.iter().any(|tag| *tag == ALL || purged.iter().any(|other| other == tag)),
            What::Everything => true,
        }
}

fn random_purge(dice: &mut Dice) -> Purge {
    let what = match dice.below(12) {
        0..3 => What::Url(target(dice.of(&PATHS), QUERIES[dice.below(4)])),
        3 => What::Page(dice.of(&PATHS).to_owned()),
        4..6 => What::Prefix(target(dice.of(&PATHS), QUERIES[dice.below(4)])),
        6..8 => What::Regex(dice.of(&REGEXES).to_owned()),
        8..11 => What::Tags((0..=dice.below(2)).map(|_| dice.of(&TAGS[..4]).to_owned()).collect()),
        _ => What::Everything,
    };
    let scope = if dice.below(5) == 0 { Scope::Everywhere } else { Scope::Host(dice.of(&HOSTS).to_owned()) };
    Purge { scope, what, soft: dice.below(3) == 0 }
}

#[test]
fn every_standing_is_that_of_a_list_of_all_purges() {
    for seed in 1..40 {
        let mut dice = Dice(seed * 0x9E37_79B9);
        let purges = Purges::default();
        let mut list: Vec<(u64, Purge)> = Vec::new();
        let mut responses = Vec::new();
        for step in 0..300 {
            if dice.below(4) == 0 {
                let purge = random_purge(&mut dice);
                // The clock stands still at times, and is set back.
                let number = purges.issue(&purge, at(i64::from(step) % 50)).unwrap();
                assert!(list.last().is_none_or(|(last, _)| *last < number));
                list.push((number, purge));
            } else {
                let tags: Vec<&str> = (0..dice.below(3)).map(|_| dice.of(&TAGS)).collect();
                let (authority, path, query) = (dice.of(&AUTHORITIES), dice.of(&PATHS), QUERIES[dice.below(4)]);
                responses.push((authority, path, query, tags, purges.last()));
            }
        }
        let other = Purges::default();
        other.adopt(&purges.snapshot());
        assert_eq!(other.last(), purges.last());
        assert_eq!(other.records(), purges.records());
        for (authority, path, query, tags, stamp) in &responses {
            let key = CacheKey::new(dice.of(&["http", "https"]), authority, path, query.map(str::as_bytes));
            let response = stored(tags, *stamp);
            // From the fill on, and from a look in between on.
            let checked = if dice.below(2) == 0 { 0 } else { list[dice.below(list.len())].0 };
            let later = list.iter().filter(|(number, _)| *number > (*stamp).max(checked));
            let concerned: Vec<_> =
                later.filter(|(_, purge)| concerns(purge, host(authority), path, *query, tags)).collect();
            let expected = match concerned.iter().any(|(_, purge)| !purge.soft) {
                true => Standing::Gone,
                false => concerned.last().map_or(Standing::Current, |(number, _)| Standing::Stale(time(*number))),
            };
            for purges in [&purges, &other] {
                assert_eq!(purges.standing(&key, &response, checked), expected, "{key} {tags:?} {concerned:?}");
            }
        }
    }
}

#[test]
fn retired_records_are_forgotten_and_no_others() {
    let purges = Purges::default();
    let purge =
        |path: &str, soft| Purge { scope: Scope::Host("a.test".to_owned()), what: What::Url(path.to_owned()), soft };
    let first = purges.issue(&purge("/1", false), T0).unwrap();
    let second = purges.issue(&purge("/2", true), T0).unwrap();
    purges.issue(&purge("/3", false), T0).unwrap();
    assert_eq!(purges.records(), 3);
    purges.retire(second, first);
    let standing = |path| purges.standing(&CacheKey::new("http", "a.test", path, None), &stored(&[], 0), 0);
    assert_eq!((standing("/1"), standing("/3")), (Standing::Current, Standing::Gone));
    assert!(matches!(standing("/2"), Standing::Stale(_)), "soft ones have a horizon of their own");
    purges.retire(u64::MAX, u64::MAX);
    assert_eq!((purges.records(), standing("/3")), (0, Standing::Current));
}

#[test]
fn too_many_records_are_widened_and_nothing_is_forgotten() {
    let purges = Purges::default();
    let scope = Scope::Host("a.test".to_owned());
    for n in 0..=64 {
        let what = What::Regex(format!("/[ab]{n}"));
        purges.issue(&Purge { scope: scope.clone(), what, soft: false }, T0).unwrap();
    }
    assert_eq!((purges.records(), purges.widened()), (1, 1));
    let standing = |host, path| purges.standing(&CacheKey::new("http", host, path, None), &stored(&[], 0), 0);
    assert_eq!((standing("a.test", "/x"), standing("b.test", "/x")), (Standing::Gone, Standing::Current));
    for n in 0..MOST {
        let what = What::Url(format!("/{n}"));
        purges.issue(&Purge { scope: Scope::Host(format!("{}.test", n % 9)), what, soft: false }, T0).unwrap();
    }
    assert!(purges.records() <= MOST as u64 && purges.widened() == 2, "{}", purges.records());
    assert_eq!(standing("0.test", "/0"), Standing::Gone);
}

#[test]
fn a_response_is_not_concerned_by_purges_before_its_fill_began() {
    let purges = Purges::default();
    let all = Purge { scope: Scope::Everywhere, what: What::Everything, soft: false };
    let number = purges.issue(&all, T0).unwrap();
    let key = CacheKey::new("http", "a.test", "/x", None);
    assert_eq!(purges.standing_of_fill(&key, number), Standing::Current);
    assert_eq!(purges.standing_of_fill(&key, number - 1), Standing::Gone);
    assert_eq!(purges.standing(&key, &stored(&[], 0), 0), Standing::Gone, "unstamped: older than all");
}

#[test]
fn hosts_are_those_of_authorities_without_port() {
    for (authority, name) in [("a", "a"), ("a:80", "a"), ("[::1]", "[::1]"), ("[::1]:81", "[::1]"), ("", "")] {
        assert_eq!(host(authority), name);
    }
}
