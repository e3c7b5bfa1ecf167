//! What is wrong with a file, and how it is shown.

use std::fmt;

/// Mistakes that are shown; the rest is counted.
const SHOWN_MAX: usize = 100;
/// Characters of a source line that are shown.
const EXCERPT_MAX: usize = 100;

/// Every mistake of one file, in the order of its text. Never empty.
///
/// `Display` shows each as `file:line:column: message`, the source line with the offending text underlined, and a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file as the caller named it.
    pub file: String,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// From 1; 0 where the mistake is of the file as a whole (it cannot be read).
    pub line: usize,
    /// In characters, from 1; 0 where `line` is 0.
    pub column: usize,
    /// The offending text, its first line at most.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
    /// The source line as it is shown.
    pub(crate) excerpt: Option<Excerpt>,
}

impl Report {
    /// The report of a file that could not be read at all.
    pub(crate) fn of_file(file: &str, message: String) -> Self {
        let mistake = Mistake { line: 0, column: 0, text: String::new(), message, hint: None, excerpt: None };
        Self { file: file.to_owned(), mistakes: vec![mistake] }
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = printable(&self.file);
        for mistake in self.mistakes.iter().take(SHOWN_MAX) {
            match mistake.line {
                0 => writeln!(f, "{file}: {}", printable(&mistake.message))?,
                line => writeln!(f, "{file}:{line}:{}: {}", mistake.column, printable(&mistake.message))?,
            }
            if let Some(excerpt) = &mistake.excerpt {
                excerpt.write(mistake.line, f)?;
            }
            if let Some(hint) = &mistake.hint {
                writeln!(f, "  hint: {}", printable(hint))?;
            }
            writeln!(f)?;
        }
        match self.mistakes.len() {
            1 => write!(f, "1 mistake"),
            count if count > SHOWN_MAX => write!(f, "{count} mistakes, the first {SHOWN_MAX} shown"),
            count => write!(f, "{count} mistakes"),
        }
    }
}

/// A source line, cut to what fits a terminal, and what of it to underline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    line: String,
    /// Characters before the underlined text.
    before: usize,
    /// Characters underlined, at least one.
    width: usize,
}

impl Excerpt {
    /// `column` counts from 1, `width` may be 0: both in characters of `line`.
    pub(crate) fn new(line: &str, column: usize, width: usize) -> Self {
        let before = column.saturating_sub(1);
        // The window begins at the line's begin, or a third of it before the mistake when that lies far to the right.
        let skipped = if before < EXCERPT_MAX * 2 / 3 { 0 } else { before - EXCERPT_MAX / 3 };
        let mut characters = line.chars().skip(skipped);
        let mut shown: String = characters.by_ref().take(EXCERPT_MAX).map(visible).collect();
        if characters.next().is_some() {
            shown.push('…');
        }
        let mut before = before - skipped;
        if skipped > 0 {
            shown.insert(0, '…');
            before += 1;
        }
        let room = shown.chars().count().saturating_sub(before);
        Self { line: shown, before, width: width.min(room).max(1) }
    }

    fn write(&self, number: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = number.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "  {number} | {}", self.line.trim_end())?;
        writeln!(f, "  {margin} | {}{}", " ".repeat(self.before), "^".repeat(self.width))
    }
}

/// A character that takes one column and does nothing to the terminal.
fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        c if c.is_control() || is_format(c) => '\u{fffd}',
        c => c,
    }
}

/// Characters that reorder or hide what stands beside them.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_mistake() {
        let line = format!("{}WRONG{}", "a".repeat(1000), "b".repeat(1000));
        let excerpt = Excerpt::new(&line, 1001, 5);
        assert!(excerpt.line.chars().count() <= EXCERPT_MAX + 2);
        let underlined: String = excerpt.line.chars().skip(excerpt.before).take(excerpt.width).collect();
        assert_eq!(underlined, "WRONG");
    }

    #[test]
    fn control_and_reordering_characters_never_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\0\u{202e}\u{9b}b"), "a␛[2J␀\u{fffd}\u{fffd}b");
    }

    #[test]
    fn a_file_as_a_whole_has_no_position() {
        assert_eq!(
            Report::of_file("f.toml", "cannot be read".into()).to_string(),
            "f.toml: cannot be read\n\n1 mistake"
        );
    }
}
