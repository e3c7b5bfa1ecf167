//! Where the words of a file stand: for who has to name the one that decided (`forebay explain`).

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::source::Source;

/// The text of a configuration file that was read without mistakes.
#[derive(Debug, Clone, Default)]
pub struct Places {
    name: String,
    text: String,
}

/// A table whose words are looked for: a site, or one of its routes.
#[derive(Debug, Clone, Copy)]
pub struct Within {
    /// Position of the site in the file.
    pub site: usize,
    /// Position of the route in the site; its words stand before those of the site.
    pub route: Option<usize>,
}

/// What of a word is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// The word itself.
    Whole,
    /// The element of a list, or the key of a table, that is this text.
    Named(&'a str),
    /// The element of a list at this position.
    At(usize),
}

/// A table of the file and where it begins.
type Found<'t, 'd> = (&'d DeTable<'t>, Range<usize>);

// === impl Places ===

impl Places {
    /// The text of a file, by the name it is to be called.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned() }
    }

    /// The text of a file that was loaded a moment ago; of one that cannot be read any more nothing is known.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        std::fs::read_to_string(path)
            .map_or_else(|_| Self::default(), |text| Self::new(&path.display().to_string(), &text))
    }

    /// `forebay.toml:12`: where a site or a route begins.
    #[must_use]
    pub fn table(&self, within: Within) -> Option<String> {
        self.look(|root| Some(tables(root, within).into_iter().next()?.1))
    }

    /// `forebay.toml:12`: where a word stands that holds in a table; in its own, or in that of its site. With `extra_`
    /// before its name, a list adds to another.
    #[must_use]
    pub fn word(&self, within: Within, word: &str, part: Part<'_>) -> Option<String> {
        self.look(|root| {
            let tables = tables(root, within);
            let names = [word.to_owned(), format!("extra_{word}")];
            tables.iter().find_map(|(table, _)| names.iter().find_map(|name| span(table, name, part)))
        })
    }

    fn look(&self, find: impl FnOnce(&DeTable<'_>) -> Option<Range<usize>>) -> Option<String> {
        let root = DeTable::parse(&self.text).ok()?;
        let span = find(root.get_ref())?;
        let line = Source::new(&self.name, &self.text).line(span.start);
        Some(format!("{}:{line}", self.name))
    }
}

fn get<'d, 't>(table: &'d DeTable<'t>, word: &str) -> Option<(Range<usize>, &'d DeValue<'t>, Range<usize>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == word)?;
    Some((key.span(), value.get_ref(), value.span()))
}

fn element<'d, 't>(table: &'d DeTable<'t>, word: &str, index: usize) -> Option<Found<'t, 'd>> {
    let (_, value, _) = get(table, word)?;
    let DeValue::Array(array) = value else { return None };
    let element = array.get(index)?;
    match element.get_ref() {
        DeValue::Table(table) => Some((table, element.span())),
        _ => None,
    }
}

/// The route, then its site.
fn tables<'d, 't>(root: &'d DeTable<'t>, within: Within) -> Vec<Found<'t, 'd>> {
    let Some(site) = element(root, "site", within.site) else { return Vec::new() };
    let route = within.route.and_then(|index| element(site.0, "route", index));
    route.into_iter().chain([site]).collect()
}

fn span(table: &DeTable<'_>, word: &str, part: Part<'_>) -> Option<Range<usize>> {
    let (key, value, _) = get(table, word)?;
    match (part, value) {
        (Part::Whole, _) => Some(key),
        (Part::Named(name), DeValue::Array(array)) => {
            array.iter().find(|element| element.get_ref().as_str() == Some(name)).map(toml::Spanned::span)
        }
        (Part::Named(name), DeValue::Table(table)) => get(table, name).map(|(key, ..)| key),
        (Part::At(index), DeValue::Array(array)) => array.get(index).map(toml::Spanned::span),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[[site]]
hosts = [\"a.test\"]
ignore_params = [
  \"utm_*\",
  \"gclid\",
]
lifetimes = { \"200\" = \"1h\" }
[[site.refresh_pattern]]
line = \". 1 2% 3\"
[[site.refresh_pattern]]
line = \"x 1 2% 3\"
[[site.route]]
path = \"/api/\"
cache = \"off\"
extra_ignore_params = [\"ref\"]
[[site]]
hosts = [\"b.test\"]
";

    fn line(site: usize, route: Option<usize>, word: &str, part: Part<'_>) -> Option<String> {
        Places::new("f", TEXT).word(Within { site, route }, word, part)
    }

    #[test]
    fn elements_and_keys_are_found_where_they_stand() {
        let found = |line: &str| Some(format!("f:{line}"));
        assert_eq!(line(0, None, "ignore_params", Part::Named("gclid")), found("5"));
        assert_eq!(line(0, None, "lifetimes", Part::Named("200")), found("7"));
        assert_eq!(line(0, None, "refresh_pattern", Part::At(1)), found("10"));
        assert_eq!(line(0, Some(0), "cache", Part::Whole), found("14"));
    }

    #[test]
    fn a_route_has_its_own_words_and_those_of_its_site() {
        assert_eq!(line(0, Some(0), "ignore_params", Part::Named("ref")), Some("f:15".to_owned()));
        assert_eq!(line(0, Some(0), "ignore_params", Part::Named("utm_*")), Some("f:4".to_owned()));
        assert_eq!(line(0, None, "cache", Part::Whole), None);
    }

    #[test]
    fn tables_are_found_and_what_is_not_there_is_not() {
        let places = Places::new("f", TEXT);
        assert_eq!(places.table(Within { site: 1, route: None }), Some("f:16".to_owned()));
        assert_eq!(places.table(Within { site: 0, route: Some(0) }), Some("f:12".to_owned()));
        assert_eq!(places.table(Within { site: 2, route: None }), None);
        assert_eq!(line(1, None, "ignore_params", Part::Whole), None);
        assert_eq!(Places::default().table(Within { site: 0, route: None }), None);
    }
}
