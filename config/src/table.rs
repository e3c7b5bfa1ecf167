//! The typed table reader: words are taken out one by one, what is left over is unknown.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::reading::{Located, Reading};
use crate::values::{self, Wrong};

/// A table of the file while it is read.
///
/// Every word it is asked for is remembered: [`Table::finish`] reports what nobody asked for and names the nearest of
/// the remembered words.
pub(crate) struct Table<'r, 't> {
    pub(crate) reading: &'r Reading<'r>,
    /// As it is written in a file: `[[site]]`.
    pub(crate) place: String,
    /// Where it begins, for what is missing from it.
    pub(crate) span: Range<usize>,
    entries: BTreeMap<String, (Range<usize>, Spanned<DeValue<'t>>)>,
    known: Vec<&'static str>,
    /// Words that must be there and are not, each with its hint.
    missing: Vec<(&'static str, String)>,
}

impl<'r, 't> Table<'r, 't> {
    pub(crate) fn new(reading: &'r Reading<'r>, place: &str, span: Range<usize>, table: DeTable<'t>) -> Self {
        let entries = table.into_iter().map(|(key, value)| (key.get_ref().to_string(), (key.span(), value))).collect();
        Self { reading, place: place.to_owned(), span, entries, known: Vec::new(), missing: Vec::new() }
    }

    /// Takes the value of `word` out.
    pub(crate) fn take(&mut self, word: &'static str) -> Option<Item<'r, 't>> {
        self.known.push(word);
        let (key, value) = self.entries.remove(word)?;
        let span = value.span();
        Some(Item { reading: self.reading, word, key, span, value: value.into_inner() })
    }

    /// Takes the value of a word that must be there.
    pub(crate) fn require(&mut self, word: &'static str, hint: &str) -> Option<Item<'r, 't>> {
        let item = self.take(word);
        if item.is_none() {
            self.missing.push((word, hint.to_owned()));
        }
        item
    }

    /// Every entry that is left, for tables whose keys are data.
    pub(crate) fn take_all(&mut self) -> Vec<(Located<String>, Item<'r, 't>)> {
        let reading = self.reading;
        std::mem::take(&mut self.entries)
            .into_iter()
            .map(|(name, (key, value))| {
                let item = Item { reading, word: "", key: key.clone(), span: value.span(), value: value.into_inner() };
                (Located { value: name, span: key }, item)
            })
            .collect()
    }

    /// Reports what nobody asked for, and what is missing. A word written wrong is not missing as well.
    pub(crate) fn finish(mut self) {
        for (name, (key, _)) in &self.entries {
            let hint = match values::nearest(name, &self.known) {
                Some(near) => {
                    self.missing.retain(|(word, _)| *word != near);
                    format!("did you mean `{near}`?")
                }
                None => format!("known here: {}", self.known.join(", ")),
            };
            let name: String = name.chars().take(60).collect();
            self.reading.mistake(key, format!("unknown key `{name}` in {}", self.place), hint);
        }
        for (word, hint) in self.missing {
            self.reading.misfit(&self.span, format!("`{word}` is missing in {}", self.place), hint);
        }
    }
}

/// A value of the file, and the word it was given for.
pub(crate) struct Item<'r, 't> {
    pub(crate) reading: &'r Reading<'r>,
    pub(crate) word: &'static str,
    /// Where the word stands.
    pub(crate) key: Range<usize>,
    /// Where the value stands.
    pub(crate) span: Range<usize>,
    value: DeValue<'t>,
}

impl<'r, 't> Item<'r, 't> {
    /// Reports a value of another type than the word takes.
    fn mistyped<T>(&self, wanted: &str, hint: impl Into<String>) -> Option<T> {
        let found = match self.value.type_str() {
            kind @ ("integer" | "array") => format!("an {kind}"),
            kind => format!("a {kind}"),
        };
        self.reading.mistake(&self.span, format!("`{}` takes {wanted}, not {found}", self.word), hint);
        None
    }

    /// Reports a value that is of the right type and wrong all the same.
    pub(crate) fn wrong(&self, wrong: Wrong) {
        self.reading.wrong(&self.span, self.word, wrong);
    }

    /// A string that `parse` understands; `example` is a value for the hint when it is no string.
    pub(crate) fn parsed<T>(&self, example: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<Located<T>> {
        let Some(text) = self.value.as_str() else {
            return self.mistyped("a string", format!("write {} = \"{example}\"", self.word));
        };
        match parse(text) {
            Ok(value) => Some(Located { value, span: self.span.clone() }),
            Err(wrong) => {
                self.wrong(wrong);
                None
            }
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.value.as_bool() {
            Some(value) => Some(value),
            None => self.mistyped("true or false", format!("write {} = true, without quotes", self.word)),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(number) = self.value.as_integer() else {
            let hint = format!("write a number from {} to {}, without quotes", range.start(), range.end());
            return self.mistyped("a whole number", hint);
        };
        let value = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|value| range.contains(value));
        if value.is_none() {
            self.wrong(Wrong::out_of_range(number, range.start(), range.end()));
        }
        value
    }

    /// A duration within `range`, as `"30s"`.
    pub(crate) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.duration_in("s", range)
    }

    /// A duration within `range`; a bare number was most likely meant in `unit`.
    pub(crate) fn duration_in(&self, unit: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        if !self.value.is_str() {
            let hint = self.value.as_integer().map_or_else(|| "30s".to_owned(), |number| format!("{number}{unit}"));
            return self.mistyped("a duration with its unit", format!("write \"{hint}\""));
        }
        self.parsed("30s", |text| values::duration::parse_within(text, &range)).map(|found| found.value)
    }

    /// A size in bytes within `range`, as `"256MiB"` or a bare number of bytes.
    pub(crate) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let text = match &self.value {
            DeValue::Integer(bytes) => bytes.to_string().replace('_', ""),
            DeValue::String(text) => text.to_string(),
            _ => return self.mistyped("a size", "write a number and a unit: \"256MiB\""),
        };
        values::size::parse_within(&text, &range).map_err(|wrong| self.wrong(wrong)).ok()
    }

    /// The elements of an array, each under the same word.
    pub(crate) fn array(self, example: &str) -> Option<Vec<Self>> {
        let (reading, word, key) = (self.reading, self.word, self.key.clone());
        let DeValue::Array(array) = self.value else {
            let hint = match &self.value {
                DeValue::String(text) => format!("write {word} = [{text:?}]"),
                _ => format!("write {word} = [{example}]"),
            };
            return self.mistyped("an array", hint);
        };
        let element = |value: Spanned<DeValue<'t>>| Self {
            reading,
            word,
            key: key.clone(),
            span: value.span(),
            value: value.into_inner(),
        };
        Some(array.into_iter().map(element).collect())
    }

    /// An array of strings that `parse` understands. Elements it does not are reported and left out.
    pub(crate) fn list<T>(self, example: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<Vec<Located<T>>> {
        let quoted = format!("{example:?}");
        let items = self.array(&quoted)?;
        Some(items.iter().filter_map(|item| item.element(example, &parse)).collect())
    }

    /// An element of an array of strings.
    pub(crate) fn element<T>(&self, example: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<Located<T>> {
        match self.value {
            DeValue::String(_) => self.parsed(example, parse),
            _ => {
                let hint = format!("write each in quotes: {} = [{example:?}]", self.word);
                self.mistyped("strings", hint)
            }
        }
    }

    pub(crate) fn is_string(&self, text: &str) -> bool {
        self.value.as_str() == Some(text)
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// A single table, `[place]` or inline.
    pub(crate) fn table(self, place: &str) -> Option<Table<'r, 't>> {
        match self.value {
            DeValue::Table(table) => Some(Table::new(self.reading, place, self.span, table)),
            DeValue::Array(_) if place.starts_with('[') => {
                self.mistyped("a single table", format!("write {place}, once"))
            }
            _ => self.mistyped("a table", format!("write {place}")),
        }
    }

    /// An array of tables, `[[place]]` or inline.
    pub(crate) fn tables(self, place: &str) -> Vec<Table<'r, 't>> {
        if self.is_table() {
            return self
                .mistyped("an array of tables", format!("write {place}, with two brackets"))
                .unwrap_or_default();
        }
        let items = self.array("{ … }").unwrap_or_default();
        items.into_iter().filter_map(|item| item.table(place)).collect()
    }
}
