//! The text of one file, and where in it a byte stands.

use std::ops::Range;

use crate::report::{Excerpt, Mistake, Report};

/// Longest offending text that is quoted.
const TEXT_MAX: usize = 60;

/// The text of one file and the offsets its lines begin at.
pub(crate) struct Source<'t> {
    name: &'t str,
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(name: &'t str, text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name, text, line_starts }
    }

    /// The mistake that stands at `span`. A span outside the text, or inside a character, is moved back into it.
    pub(crate) fn mistake(&self, span: Range<usize>, message: String, hint: Option<String>) -> Mistake {
        let start = self.floor(span.start);
        let end = self.floor(span.end).max(start);
        let (line, line_start, line_text) = self.line_of(start);
        let before = self.text.get(line_start..start).unwrap_or_default();
        let width = self.text.get(start..end.min(line_start + line_text.len())).unwrap_or_default().chars().count();
        let column = before.chars().count() + 1;
        let text = self.text.get(start..end).unwrap_or_default().lines().next().unwrap_or_default();
        Mistake {
            line,
            column,
            text: text.chars().take(TEXT_MAX).collect(),
            message,
            hint,
            excerpt: (!line_text.trim().is_empty()).then(|| Excerpt::new(line_text, column, width)),
        }
    }

    /// A report of a single mistake.
    pub(crate) fn one_mistake(&self, span: Range<usize>, message: String, hint: &str) -> Report {
        self.report(vec![self.mistake(span, message, Some(hint.to_owned()))])
    }

    pub(crate) fn report(&self, mistakes: Vec<Mistake>) -> Report {
        Report { file: self.name.to_owned(), mistakes }
    }

    /// Where the text ends: the place of what is missing from all of it.
    pub(crate) fn end(&self) -> Range<usize> {
        self.text.len()..self.text.len()
    }

    /// Line number (from 1) of an offset.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_of(self.floor(offset)).0
    }

    /// The text of a span.
    pub(crate) fn quote(&self, span: &Range<usize>) -> &'t str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The line with the most brackets and dots.
    pub(crate) fn most_nested_line(&self) -> Range<usize> {
        let depth = |line: &str| line.bytes().filter(|byte| b".[{".contains(byte)).count();
        let lines = self.line_starts.iter().map(|start| self.line_of(*start));
        let (_, start, text) = lines.max_by_key(|(_, _, text)| depth(text)).unwrap_or((1, 0, ""));
        start..start + text.len()
    }

    /// Line number (from 1) of the last table header at or before an offset; 0 where there is none.
    pub(crate) fn header_line(&self, offset: usize) -> usize {
        let (number, ..) = self.line_of(self.floor(offset));
        let before = self.line_starts.iter().take(number).rev().zip((1..=number).rev());
        before.into_iter().find(|(start, _)| self.is_header(**start)).map_or(0, |(_, line)| line)
    }

    /// Whether the line of an offset is a table header, `[…]` or `[[…]]`.
    pub(crate) fn is_header(&self, offset: usize) -> bool {
        self.line_of(self.floor(offset)).2.trim_start().starts_with('[')
    }

    /// Number (from 1), first offset and text without its line end of the line an offset is in.
    fn line_of(&self, offset: usize) -> (usize, usize, &'t str) {
        let number = self.line_starts.partition_point(|start| *start <= offset);
        let start = number.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(0);
        let text = self.text.get(start..).and_then(|rest| rest.split('\n').next()).unwrap_or_default();
        (number, start, text.strip_suffix('\r').unwrap_or(text))
    }

    /// The nearest character boundary at or before `offset`.
    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str, at: usize) -> (usize, usize) {
        let mistake = Source::new("f", text).mistake(at..at, String::new(), None);
        (mistake.line, mistake.column)
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        assert_eq!(position("ab\ncd", 0), (1, 1));
        assert_eq!(position("ab\ncd", 2), (1, 3));
        assert_eq!(position("ab\ncd", 3), (2, 1));
        assert_eq!(position("ab\r\ncd", 5), (2, 2));
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(position("é = 1", 3), (1, 3));
    }

    #[test]
    fn offsets_outside_the_text_are_moved_back_into_it() {
        assert_eq!(position("", 9), (1, 1));
        assert_eq!(position("ab\n", 9), (2, 1));
        assert_eq!(position("é", 1), (1, 1));
    }

    #[test]
    fn the_offending_text_ends_with_its_line() {
        let mistake = Source::new("f", "a = [\n1]").mistake(4..8, String::new(), None);
        assert_eq!(mistake.text, "[");
    }
}
