//! One reading of one file: the mistakes found so far, and the world the file speaks of.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Range;

use crate::model::Config;
use crate::read::syntax;
use crate::report::Report;
use crate::source::Source;
use crate::values::Wrong;

/// How a host name becomes addresses.
pub(crate) type Resolve = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The resolver of the operating system.
pub(crate) fn system_resolver(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// Syntax errors that are kept; a file of another kind would have one for each byte.
const SYNTAX_ERRORS_MAX: usize = 100;

/// A value and the bytes it was written in.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// One reading of one file. Shared by everything that reads, hence the cells.
pub(crate) struct Reading<'s> {
    pub(crate) source: &'s Source<'s>,
    pub(crate) resolve: Resolve,
    /// Each with whether it is a duplicate key.
    syntax: RefCell<Vec<(bool, Found)>>,
    found: RefCell<Vec<Found>>,
}

struct Found {
    span: Range<usize>,
    message: String,
    hint: Option<String>,
    /// Whether this can only be said of a text that was understood as a whole.
    of_the_whole: bool,
}

impl<'s> Reading<'s> {
    pub(crate) fn new(source: &'s Source<'s>, resolve: Resolve) -> Self {
        Self { source, resolve, syntax: RefCell::default(), found: RefCell::default() }
    }

    /// Something that stands in the file is wrong in itself.
    pub(crate) fn mistake(&self, span: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.add(span, message.into(), Some(hint.into()), false);
    }

    /// A string that `values` refused, as the value of `word`.
    pub(crate) fn wrong(&self, span: &Range<usize>, word: &str, wrong: Wrong) {
        self.add(span, format!("`{word}`: {}", wrong.message), wrong.hint, false);
    }

    /// Something is missing, or does not go with something elsewhere in the file.
    ///
    /// Withheld while there are syntax errors: what seems to be missing may be what could not be parsed.
    pub(crate) fn misfit(&self, span: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.add(span, message.into(), Some(hint.into()), true);
    }

    fn add(&self, span: &Range<usize>, message: String, hint: Option<String>, of_the_whole: bool) {
        self.found.borrow_mut().push(Found { span: span.clone(), message, hint, of_the_whole });
    }

    pub(crate) fn syntax_error(&self, error: &toml::de::Error) {
        let mut syntax = self.syntax.borrow_mut();
        if syntax.len() < SYNTAX_ERRORS_MAX {
            // What nests too deep is reported without place.
            let span = error.span().unwrap_or_else(|| self.source.most_nested_line());
            let (message, hint) = syntax::explain(error.message(), self.source.quote(&span));
            let duplicate = error.message() == syntax::DUPLICATE;
            syntax.push((duplicate, Found { span, message, hint: Some(hint), of_the_whole: false }));
        }
    }

    /// The configuration, if nothing was found wrong with it.
    pub(crate) fn finish(self, config: Config) -> Result<Config, Report> {
        let syntax = without_echoes(self.source, self.syntax.into_inner());
        let mut found = self.found.into_inner();
        if !syntax.is_empty() {
            let lines: Vec<usize> = syntax.iter().map(|error| self.source.line(error.span.start)).collect();
            // Beneath a broken header stand words of a table that nobody knows.
            let lost = syntax.iter().any(|error| self.source.is_header(error.span.start));
            found.retain(|mistake| {
                !lost && !mistake.of_the_whole && !lines.contains(&self.source.line(mistake.span.start))
            });
            found.extend(syntax);
        }
        if found.is_empty() {
            return Ok(config);
        }
        found.sort_by_key(|mistake| mistake.span.start);
        let mistakes = found.into_iter().map(|one| self.source.mistake(one.span, one.message, one.hint)).collect();
        Err(self.source.report(mistakes))
    }
}

/// Syntax errors without those that follow from another: all but one of a line, and the duplicate keys beneath a
/// duplicate header.
fn without_echoes(source: &Source<'_>, mut errors: Vec<(bool, Found)>) -> Vec<Found> {
    errors.sort_by_key(|(_, error)| error.span.start);
    let mut kept: Vec<Found> = Vec::new();
    let mut duplicate_header = None;
    for (duplicate, error) in errors {
        let line = source.line(error.span.start);
        if duplicate && source.is_header(error.span.start) {
            duplicate_header = Some(line);
        } else if duplicate && duplicate_header.is_some_and(|header| source.header_line(error.span.start) == header) {
            continue;
        }
        match kept.last_mut() {
            // What is not closed explains whatever was read within it.
            Some(last) if source.line(last.span.start) == line => {
                if error.message.contains("unclosed") {
                    *last = error;
                }
            }
            _ => kept.push(error),
        }
    }
    kept
}
